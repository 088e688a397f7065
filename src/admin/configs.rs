//! What another config would change.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::answer::{self, problem, text};
use super::body::whole;
use super::router::ProxyState;

/// The largest body with the files of a config.
const MOST: usize = 8 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The files of a config.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Files {
    files: Vec<File>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: String,
}

/// What the config in the body would change.
pub(super) async fn diff(State(proxy): ProxyState, body: Body) -> Response {
    let body = match whole(body, MOST, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let files: Files = match serde_json::from_slice(&body) {
        Ok(files) => files,
        Err(error) => {
            let detail = format!(
                "write {{\"files\": [{{\"name\": \"x.toml\", \"text\": \"...\"}}]}}: {error}"
            );
            return problem(StatusCode::BAD_REQUEST, &detail);
        }
    };
    let files = files.files.into_iter().map(|file| (file.name, file.text));
    match proxy.diff(files.collect()).await {
        Ok(changes) => answer::json(&changes),
        Err(report) => text(StatusCode::UNPROCESSABLE_ENTITY, report),
    }
}

#[cfg(test)]
mod tests {
    use crate::admin::fake::{Fake, api_over_tcp, json_of};

    #[tokio::test]
    async fn a_config_is_compared_or_refused() {
        let served = api_over_tcp(Fake::default()).await;
        let post = async |body: &str| {
            let length = body.len();
            let head =
                format!("POST /diff HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
            served.exchange(&head, body).await
        };
        let answer = post("{\"files\": [{\"name\": \"x\", \"text\": \"y\"}]}").await;
        assert_eq!(json_of(&answer)["same"], false);
        let refused = post("{\"files\": [{\"name\": \"x\", \"text\": \"wrong\"}]}").await;
        assert!(refused.starts_with("HTTP/1.1 422"), "{refused}");
        for body in ["", "[]", "{\"files\": 1}"] {
            assert!(post(body).await.starts_with("HTTP/1.1 400"), "{body}");
        }
    }
}
