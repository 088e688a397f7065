//! Registering: routes and upstreams that are put into the config, and taken out of it, while the proxy runs.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::answer::{self, problem};
use super::body::whole;
use super::registration::{Condition, Format, Kind, NotRegistered, Registered, Registration};
use super::router::ProxyState;

/// The largest body of what is registered.
const MOST: usize = 256 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// `PUT`
pub(super) async fn put(
    kind: Kind,
    State(proxy): ProxyState,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(format) = format(&headers) else {
        let detail = "send application/toml or application/json, and say which in `Content-Type`";
        return problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
    };
    let body = match whole(body, MOST, BODY_TIMEOUT).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let registration = Registration {
        kind,
        name,
        content: Some((format, body)),
        condition: Condition::of(&headers),
    };
    told(proxy.register(vec![registration]).await, &headers)
}

/// `DELETE`
pub(super) async fn delete(
    kind: Kind,
    State(proxy): ProxyState,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let registration = Registration {
        kind,
        name,
        content: None,
        condition: Condition::of(&headers),
    };
    told(proxy.register(vec![registration]).await, &headers)
}

/// Adds to `answer` what is known of the registration of the one of this name, if it is registered.
pub(super) fn with_etag(mut answer: Response, etag: Option<&str>) -> Response {
    if let Some(Ok(etag)) = etag.map(HeaderValue::from_str) {
        answer.headers_mut().insert(header::ETAG, etag);
    }
    answer
}

fn format(headers: &HeaderMap) -> Option<Format> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next()?.trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/toml" => Some(Format::Toml),
        "application/json" => Some(Format::Json),
        _ => None,
    }
}

fn told(outcome: Result<Registered, NotRegistered>, headers: &HeaderMap) -> Response {
    let refused = match outcome {
        Ok(done) => {
            let status = match done {
                Registered { created: true, .. } => StatusCode::CREATED,
                _ => StatusCode::OK,
            };
            let told = (status, answer::json(&done)).into_response();
            return with_etag(told, done.etag.as_deref());
        }
        Err(refused) => refused,
    };
    let status = refused.status();
    match refused {
        NotRegistered::Wrong(_, problems) if wants_json(headers) => {
            let told = json!({
                "type": "about:blank",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "the config would have errors",
                "problems": problems,
            });
            (status, answer::json(&told)).into_response()
        }
        NotRegistered::Wrong(report, _) => answer::text(status, report),
        NotRegistered::Changed(etag) => {
            let detail = refused_words(etag.as_deref());
            with_etag(problem(status, detail), etag.as_deref())
        }
        NotRegistered::Unreadable(why)
        | NotRegistered::Nothing(why)
        | NotRegistered::Conflict(why)
        | NotRegistered::NoSpace(why)
        | NotRegistered::Busy(why)
        | NotRegistered::Failed(why) => problem(status, &why),
    }
}

fn refused_words(etag: Option<&str>) -> &'static str {
    match etag {
        Some(_) => "what is there is another one by now: `ETag` names it",
        None => "nothing of this name is registered",
    }
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("application/json") || value.contains("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{Fake, api_over_tcp, json_of};

    #[tokio::test]
    async fn what_is_put_is_registered_or_it_is_said_why_not() {
        let served = api_over_tcp(Fake::default()).await;
        let put = async |path: &str, fields: &str, body: &str| {
            let length = body.len();
            let head = format!(
                "PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{fields}"
            );
            served.exchange(&head, body).await
        };
        let toml = "Content-Type: application/toml\r\n";
        let new = put("/routes/new", toml, "respond = {}").await;
        assert!(new.starts_with("HTTP/1.1 201"), "{new}");
        assert!(new.contains("etag: \"one\"\r\n"), "{new}");
        assert_eq!(
            json_of(&new),
            json!({ "generation": 8, "created": true, "etag": "\"one\"" })
        );
        let upstream = put(
            "/upstreams/new",
            "Content-Type: application/json; charset=utf-8\r\n",
            "{}",
        )
        .await;
        assert!(upstream.starts_with("HTTP/1.1 201"), "{upstream}");
        assert_eq!(
            served.proxy.calls(),
            ["Route new Toml respond = {}", "Upstream new Json {}"]
        );
        let wrong = put("/routes/wrong", toml, "x = 1").await;
        assert!(wrong.starts_with("HTTP/1.1 422"), "{wrong}");
        assert!(wrong.ends_with("the report\n"), "{wrong}");
        let wrong = put(
            "/routes/wrong",
            &format!("{toml}Accept: application/json\r\n"),
            "x = 1",
        )
        .await;
        assert_eq!(json_of(&wrong)["problems"][0]["line"], 1);
        let changed = put("/routes/changed", toml, "").await;
        assert!(changed.starts_with("HTTP/1.1 412"), "{changed}");
        assert!(changed.contains("etag: \"two\"\r\n"), "{changed}");
        for fields in ["", "Content-Type: text/plain\r\n"] {
            let unknown = put("/routes/new", fields, "").await;
            assert!(unknown.starts_with("HTTP/1.1 415"), "{unknown}");
        }
        let large = put("/routes/new", toml, &"x".repeat(MOST + 1)).await;
        assert!(large.starts_with("HTTP/1.1 413"), "{large}");
        let gone = served
            .exchange("DELETE /routes/new HTTP/1.1\r\nHost: localhost\r\n", "")
            .await;
        assert!(gone.starts_with("HTTP/1.1 200"), "{gone}");
        assert_eq!(served.proxy.calls().last().unwrap(), "Route new goes");
    }
}
