//! Requests that failed or took long, for whoever asks why.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;

use super::answer::{self, problem};
use super::router::ProxyState;
use crate::telemetry::requests;

/// More are not shown at once.
const MOST: usize = 1000;

pub(super) async fn all(
    State(proxy): ProxyState,
    query: Result<Query<requests::Query>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(mut query)) => {
            query.limit = query.limit.min(MOST);
            answer::json(&proxy.requests(&query))
        }
        Err(unread) => problem(StatusCode::BAD_REQUEST, &unread.body_text()),
    }
}

pub(super) async fn one(State(proxy): ProxyState, Path(request_id): Path<String>) -> Response {
    match proxy.request(&request_id) {
        Some(request) => answer::json(&request),
        None => problem(
            StatusCode::NOT_FOUND,
            "no request of this id is remembered: only the newest that failed or took long are",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::fake::{Fake, api_over_tcp, exchange, json_of};

    #[tokio::test]
    async fn they_are_found_by_what_is_asked_for() {
        let served = api_over_tcp(Fake::default()).await;
        let ask = async |path: &str| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
            exchange(&served, &request).await
        };
        let all = ask("/requests?route=pay&reason=circuit_open&slow=false&limit=5000").await;
        assert_eq!(
            json_of(&all)["what"],
            "Some(\"pay\") Some(\"circuit_open\") Some(false) 1000"
        );
        assert_eq!(json_of(&ask("/requests/r-1").await)["what"], "r-1");
        for (path, status) in [
            ("/requests?rout=pay", 400),
            ("/requests?slow=perhaps", 400),
            ("/requests?limit=-1", 400),
            ("/requests/nobody", 404),
        ] {
            let answer = ask(path).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert!(answer.contains("application/problem+json"), "{answer}");
        }
    }
}
