//! Every answer in one shape, whoever gave it: `envelope = true` of a route, and what is executed by name.
//!
//! ```json
//! {
//!   "success": true, "status_code": 200, "data": {}, "headers": {}, "execution_time": 0.0123, "errors": [],
//!   "metadata": { "route": "orders", "timestamp": "2026-01-31T12:00:00.000Z", "request_id": "..." }
//! }
//! ```
//!
//! `success` is true below 400. `data` is the body: JSON as it is, text as a string, anything else in base64, and
//! `null` where there is none. `headers` are those of the answer, in lower case, several values joined by commas;
//! cookies stay in the head alone, where scripts cannot read them. `execution_time` is in seconds, from the head of
//! the request. `errors` has one entry for a status of 400 or more: the problem document (RFC 9457) that the answer
//! is, or one made of the status. The status and the headers of the answer itself stay as they are.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::http::body::Body;
use crate::http::headers::Headers;
use crate::http::message::Response;
use crate::http::semantics::essence;

/// What is known of a request when there is an answer to it.
pub struct Answered {
    pub route: Arc<str>,
    pub request_id: String,
    /// Since the head of the request.
    pub took: Duration,
}

/// What an envelope tells beside the body.
pub struct Facts {
    pub status: StatusCode,
    pub headers: Map<String, Value>,
    /// The content type without its parameters.
    pub kind: String,
    /// What it tells of the request.
    pub answered: Answered,
}

impl Facts {
    pub fn of(response: &Response, answered: Answered) -> Self {
        let kind = response.headers.get(&header::CONTENT_TYPE);
        Facts {
            status: response.status,
            headers: shown(&response.headers),
            kind: kind.map(essence::of).unwrap_or_default(),
            answered,
        }
    }

    /// Puts the envelope around a body that was JSON.
    pub fn around(self, data: Value) -> Value {
        let errors = match self.status.as_u16() {
            400.. if self.kind == "application/problem+json" => vec![data.clone()],
            400.. => vec![json!({
                "status": self.status.as_u16(),
                "title": self.status.canonical_reason().unwrap_or("Error"),
            })],
            _ => Vec::new(),
        };
        json!({
            "success": self.status.as_u16() < 400,
            "status_code": self.status.as_u16(),
            "data": data,
            "headers": self.headers,
            "execution_time": (self.answered.took.as_secs_f64() * 1e6).round() / 1e6,
            "errors": errors,
            "metadata": {
                "route": &*self.answered.route,
                "timestamp": humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                "request_id": self.answered.request_id,
            },
        })
    }

    /// A body that was not JSON, as JSON.
    pub fn data(&self, body: &Bytes) -> Value {
        if body.is_empty() {
            return Value::Null;
        }
        if is_text(&self.kind) {
            self.text(body)
        } else {
            Value::String(STANDARD.encode(body))
        }
    }

    /// A body that is meant to be text, such as what an error calls JSON and is not.
    pub fn text(&self, body: &Bytes) -> Value {
        Value::String(match std::str::from_utf8(body) {
            Ok(text) => text.to_owned(),
            Err(_) => STANDARD.encode(body),
        })
    }
}

/// Puts the envelope around an answer that the proxy made out of a failure: a problem document.
pub fn around_failure(response: &mut Response, answered: Answered) {
    let problem = response.body.take_full().unwrap_or_default();
    let problem: Value = serde_json::from_slice(&problem).unwrap_or_default();
    let mut envelope = Facts::of(response, answered).around(problem);
    // The caller asked for data, and there is none.
    envelope["data"] = Value::Null;
    let mut text = envelope.to_string();
    text.push('\n');
    tell_json(&mut response.headers);
    response.body = Body::full(text);
}

/// An envelope is JSON, whatever is in it.
pub fn tell_json(headers: &mut Headers) {
    let json = HeaderValue::from_static("application/json");
    headers.insert(&header::CONTENT_TYPE, &json);
}

fn shown(headers: &Headers) -> Map<String, Value> {
    let mut shown: Map<String, Value> = Map::new();
    for (name, value) in headers.iter() {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if name == header::SET_COOKIE.as_str()
            || OF_THE_CONNECTION.iter().any(|n| name == n.as_str())
        {
            continue;
        }
        let value = String::from_utf8_lossy(value);
        match shown.get_mut(&name) {
            Some(Value::String(before)) => {
                before.push_str(", ");
                before.push_str(&value);
            }
            _ => {
                shown.insert(name, Value::String(value.into_owned()));
            }
        }
    }
    shown
}

const OF_THE_CONNECTION: [HeaderName; 4] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
];

/// Whether a type is meant to be read by people, as far as it tells.
fn is_text(kind: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "application/javascript",
        "application/x-www-form-urlencoded",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
    ];
    kind.is_empty() || kind.starts_with("text/") || kind.ends_with("+xml") || OTHERS.contains(&kind)
}
