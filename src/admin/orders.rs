//! What operators order through the admin API: everything that changes the proxy.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::NotCarriedOut;
use super::answer::{self, found, problem, text};
use super::router::ProxyState;
use crate::policy::orders::OrderKind;
use crate::telemetry::log::Level;
use crate::value::Wrong;

/// The largest body that a request needs.
const MAX_BODY: usize = 4 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn reload(State(proxy): ProxyState) -> Response {
    match proxy.reload().await {
        Ok(outcome) => answer::json(&outcome),
        Err(report) => text(StatusCode::UNPROCESSABLE_ENTITY, report),
    }
}

/// An order of this kind to a policy of the route `name`.
pub(super) async fn to_policy(
    kind: &'static OrderKind,
    State(proxy): ProxyState,
    Path(name): Path<String>,
    body: Body,
) -> Response {
    let body = match whole(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let order = match (kind.read)(&body) {
        Ok(order) => order,
        Err(error) => {
            let detail = format!("{}: {error}", kind.usage);
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    match proxy.order_policy(&name, &*order) {
        Ok(()) => found("route", &name, proxy.route(&name)),
        Err(NotCarriedOut::NoRoute) => found("route", &name, None),
        Err(NotCarriedOut::NoPolicy) => {
            let detail = format!("the route `{name}` has {}", kind.lacking);
            problem(StatusCode::CONFLICT, &detail)
        }
    }
}

pub(super) async fn log_level(State(proxy): ProxyState, body: Body) -> Response {
    let body = match whole(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    match level_in(&body) {
        Ok(level) => {
            proxy.set_log_level(level);
            answer::json(&json!({ "level": level }))
        }
        Err(detail) => problem(StatusCode::BAD_REQUEST, &detail),
    }
}

/// A level as plain text, as a JSON string, or as `{"level": "debug"}`.
fn level_in(body: &[u8]) -> Result<Level, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        level: String,
    }

    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with('{') {
        let wanted: Wanted = serde_json::from_str(text)
            .map_err(|e| format!("write the level as {{\"level\": \"debug\"}}: {e}"))?;
        return level(&wanted.level);
    }
    level(text.trim_matches('"'))
}

fn level(text: &str) -> Result<Level, String> {
    text.parse().map_err(|wrong: Wrong| wrong.to_string())
}

pub(super) async fn drain(State(proxy): ProxyState) -> Response {
    proxy.drain();
    text(StatusCode::OK, "draining\n")
}

pub(super) async fn quit(State(proxy): ProxyState) -> Response {
    proxy.quit();
    text(StatusCode::OK, "quitting\n")
}

/// The whole body, or the answer to one that cannot be had.
async fn whole(body: Body) -> Result<Bytes, Response> {
    match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(problem(
            StatusCode::BAD_REQUEST,
            "the body is too large, or was cut off",
        )),
        Err(_) => Err(problem(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not arrive",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{Fake, api_over_tcp, exchange, json_of};

    #[tokio::test]
    async fn a_reload_tells_the_generation_or_why_not() {
        let served = api_over_tcp(Fake::default()).await;
        let request = "POST /reload HTTP/1.1\r\nHost: localhost\r\n";
        let answer = exchange(&served, request).await;
        assert_eq!(
            json_of(&answer),
            json!({ "generation": 7, "changed": true })
        );
        served.proxy.refuse_reloads("error: unknown key\n");
        let answer = exchange(&served, request).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
        assert!(answer.contains("content-type: text/plain"));
        assert!(answer.ends_with("error: unknown key\n"));
    }

    #[tokio::test]
    async fn the_log_level_is_set_in_any_of_three_spellings() {
        let served = api_over_tcp(Fake::default()).await;
        let put = async |body: &str| {
            let length = body.len();
            let head = format!(
                "PUT /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            );
            served.exchange(&head, body).await
        };
        for body in ["debug\n", "\"debug\"", "{\"level\": \"debug\"}"] {
            assert_eq!(json_of(&put(body).await), json!({ "level": "debug" }));
        }
        assert_eq!(served.proxy.calls(), ["level Debug"; 3]);
        for body in ["loud", "", "{\"level\": 3}", "{", &"x".repeat(MAX_BODY + 1)] {
            assert!(put(body).await.starts_with("HTTP/1.1 400"), "{body}");
        }
        assert_eq!(served.proxy.calls().len(), 3);
    }

    #[tokio::test]
    async fn a_breaker_is_set_where_there_is_one() {
        let served = api_over_tcp(Fake::default()).await;
        let put = async |route: &str, body: &str| {
            let length = body.len();
            let head = format!(
                "PUT /routes/{route}/breaker HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            );
            served.exchange(&head, body).await
        };
        for state in ["open", "closed", "auto"] {
            let answer = put("pay", &format!("{{\"state\": \"{state}\"}}")).await;
            assert_eq!(json_of(&answer)["what"], "pay");
        }
        assert_eq!(
            served.proxy.calls(),
            ["Open", "Closed", "No"].map(|state| format!("Wanted {{ state: {state} }}"))
        );
        for body in [
            "",
            "open",
            "{\"state\": \"half-open\"}",
            "{\"stat\": \"open\"}",
        ] {
            assert!(put("pay", body).await.starts_with("HTTP/1.1 400"), "{body}");
        }
        let order = "{\"state\": \"open\"}";
        let none = put("ship", order).await;
        assert!(none.starts_with("HTTP/1.1 409"), "{none}");
        assert!(none.contains("has no circuit breaker"), "{none}");
        let nobody = put("nobody", order).await;
        assert!(nobody.starts_with("HTTP/1.1 404"), "{nobody}");
        assert_eq!(served.proxy.calls().len(), 3);
    }
}
