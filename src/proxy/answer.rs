//! From an [`Error`] to what the caller is told.

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::body::Body;
use crate::error::Error;
use crate::message::Response;

const REASON: HeaderName = HeaderName::from_static("outrigger-reason");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// What an answer needs to know of its request.
pub struct About<'a> {
    pub route: &'a str,
    pub request_id: &'a str,
    pub is_grpc: bool,
}

/// A problem document (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    reason: &'a str,
    detail: &'a str,
    route: &'a str,
    request_id: &'a str,
}

/// The answer to a request that was refused or failed.
pub fn refuse(error: &Error, about: &About<'_>) -> Response {
    let mut response = if about.is_grpc {
        grpc(error)
    } else {
        problem(error, about)
    };
    response
        .headers
        .insert(&REASON, &HeaderValue::from_static(error.reason().name));
    for (name, value) in error.headers() {
        response.headers.append(name, value);
    }
    if let Ok(now) = HeaderValue::from_str(&httpdate::fmt_http_date(std::time::SystemTime::now())) {
        response.headers.insert(&header::DATE, &now);
    }
    response.refused = Some(error.reason());
    response
}

fn problem(error: &Error, about: &About<'_>) -> Response {
    let status = error.status();
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Client Closed Request"),
        status: status.as_u16(),
        reason: error.reason().name,
        detail: error.detail(),
        route: about.route,
        request_id: about.request_id,
    };
    let mut text = serde_json::to_vec(&problem).unwrap_or_default();
    // Whoever reads it does so in a terminal.
    text.push(b'\n');
    let mut response = Response::new(status, Body::full(text));
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers.insert(&header::CONTENT_TYPE, &kind);
    response
}

/// A trailers-only answer: all in the head, and no body.
fn grpc(error: &Error) -> Response {
    let mut response = Response::new(StatusCode::OK, Body::empty());
    let headers = &mut response.headers;
    headers.insert(
        &header::CONTENT_TYPE,
        &HeaderValue::from_static("application/grpc"),
    );
    headers.insert(&GRPC_STATUS, &HeaderValue::from(grpc_status(error)));
    let message = format!("{}: {}", error.reason().name, error.detail());
    if let Ok(message) = HeaderValue::from_str(&percent_encode(&message)) {
        headers.insert(&GRPC_MESSAGE, &message);
    }
    response
}

/// The gRPC status that a caller would expect for a reason's HTTP status.
fn grpc_status(error: &Error) -> u16 {
    const CANCELLED: u16 = 1;
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match error.reason().status {
        400 => INVALID_ARGUMENT,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 | 415 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 429 | 431 => RESOURCE_EXHAUSTED,
        499 => CANCELLED,
        502 | 503 => UNAVAILABLE,
        _ => INTERNAL,
    }
}

/// `grpc-message` is percent-encoded (gRPC over HTTP/2, "Status-Message").
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte as char),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
