//! From an [`Error`] to what the caller is told.

use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::{date, forwarding};
use crate::http::body::Body;
use crate::http::error::{Error, Violation};
use crate::http::grpc::{self, Dialect, Status};
use crate::http::headers;
use crate::http::message::Response;
use crate::listener::ProblemDetail;
use crate::trace::TraceId;

const REASON: HeaderName = HeaderName::from_static(headers::REASON);

/// What an answer needs to know of its request.
pub struct About<'a> {
    pub route: &'a str,
    pub request_id: &'a str,
    pub trace: Option<TraceId>,
    pub dialect: Dialect,
    pub tells: ProblemDetail,
}

/// A problem document (RFC 9457).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    #[serde(flatten)]
    detail: Option<Detail<'a>>,
    request_id: &'a str,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

/// What a terse one lacks, before and behind the request's id.
#[derive(Serialize)]
struct Detail<'a> {
    reason: &'a str,
    detail: &'a str,
    route: &'a str,
}

#[derive(Serialize)]
struct More<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    violations: &'a [Violation],
}

/// The answer to a request that was refused or failed.
pub fn refuse(error: &Error, about: &About<'_>) -> Response {
    let mut response = match about.dialect.content_type() {
        Some(content_type) => trailers_only(error, about, &content_type),
        None => problem(error, about),
    };
    if about.tells == ProblemDetail::Full {
        let reason = HeaderValue::from_static(error.reason().name);
        response.headers.insert(&REASON, &reason);
    }
    for (name, value) in error.headers() {
        response.headers.append(name, value);
    }
    date::tell(&mut response.headers);
    response.refused = Some(error.reason());
    response.served_by = error.served_by().cloned();
    response
}

fn problem(error: &Error, about: &About<'_>) -> Response {
    let status = error.status();
    let is_full = about.tells == ProblemDetail::Full;
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Client Closed Request"),
        status: status.as_u16(),
        detail: is_full.then(|| Detail {
            reason: error.reason().name,
            detail: error.detail(),
            route: about.route,
        }),
        request_id: about.request_id,
        more: is_full.then(|| More {
            trace_id: about.trace.map(|id| id.to_string()),
            violations: error.violations(),
        }),
    };
    let mut text = serde_json::to_vec(&problem).unwrap_or_default();
    // Whoever reads it does so in a terminal.
    text.push(b'\n');
    let mut response = Response::new(status, Body::full(text));
    let kind = HeaderValue::from_static("application/problem+json");
    response.headers.insert(&header::CONTENT_TYPE, &kind);
    response
}

/// All in the head, and no body. Libraries for browsers read a status there too, before they look for one in the body.
fn trailers_only(error: &Error, about: &About<'_>, content_type: &HeaderValue) -> Response {
    let mut response = Response::new(StatusCode::OK, Body::empty());
    let headers = &mut response.headers;
    headers.insert(&header::CONTENT_TYPE, content_type);
    headers.insert_text(&forwarding::REQUEST_ID, about.request_id);
    let status = Status::of_error(error);
    headers.insert(&grpc::STATUS, &HeaderValue::from(u16::from(status.code())));
    let message = match about.tells {
        ProblemDetail::Full => format!("{}: {}", error.reason().name, error.detail()),
        ProblemDetail::Terse => format!("request {} failed", about.request_id),
    };
    if let Some(message) = grpc::message::encode(&message) {
        headers.insert(&grpc::MESSAGE, &message);
    }
    response
}
