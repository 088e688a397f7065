//! `POST /explain`: what would become of a request. Nothing changes by it.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use tokio::time::timeout;

use super::answer::{self, problem};
use super::router::ProxyState;

/// The largest question: its headers may be as large as those of a request.
const MAX_BODY: usize = 1 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn explain(State(proxy): ProxyState, body: Body) -> Response {
    let body = match timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => {
            return problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a question has 1 MiB at most",
            );
        }
        Err(_) => {
            return problem(
                StatusCode::REQUEST_TIMEOUT,
                "the question did not come in time",
            );
        }
    };
    let question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => {
            let detail = format!(
                "write `{{\"method\": \"GET\", \"url\": \"/path\", \"headers\": {{}}}}`: {error}"
            );
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    match proxy.explain(question).await {
        Ok(explanation) => answer::json(&explanation),
        Err(why) => problem(StatusCode::BAD_REQUEST, &why),
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::fake::{Fake, api_over_tcp, json_of};

    #[tokio::test]
    async fn a_question_is_read_and_what_is_wrong_with_it_is_told() {
        let served = api_over_tcp(Fake::default()).await;
        let ask = async |body: &str| {
            let length = body.len();
            let head = format!(
                "POST /explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            );
            served.exchange(&head, body).await
        };
        let answer = ask("{\"url\": \"/a\", \"headers\": {\"x-a\": [\"1\", \"2\"]}}").await;
        assert_eq!(json_of(&answer)["detail"], "GET /a is not explained here");
        for body in ["", "{}", "{\"url\": \"/a\", \"unknown\": 1}"] {
            let answer = ask(body).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
    }
}
