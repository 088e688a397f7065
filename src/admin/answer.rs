//! The shapes of the admin API's answers, made for people with curl as much as for programs.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::Value;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// JSON that a person can read.
pub(super) fn json(value: &impl Serialize) -> Response {
    with_type(StatusCode::OK, JSON, pretty(value))
}

/// One thing of many by name, or that none has the name.
pub(super) fn found(what: &str, name: &str, value: Option<Value>) -> Response {
    match value {
        Some(value) => json(&value),
        None => problem(
            StatusCode::NOT_FOUND,
            &format!("no {what} is named `{name}`"),
        ),
    }
}

pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    with_type(status, TEXT, text.into())
}

/// RFC 9457.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        status: u16,
        detail: &'a str,
    }

    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail,
    };
    with_type(status, PROBLEM, pretty(&problem))
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

fn pretty(value: &impl Serialize) -> String {
    // Fails only for a map with keys that are not text, which nothing here has.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
