//! What the admin API answers. Reads are GET and change nothing; changes need POST or PUT.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post, put};
use http::{StatusCode, Uri};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::answer::{self, PROMETHEUS_TEXT, problem, text};
use super::guard::{self, Guard};
use super::{NoBreaker, Proxy};
use crate::listener::ListenAddress;
use crate::policy::circuit_breaker::Forced;
use crate::telemetry::log::Level;

type Shared = State<Arc<dyn Proxy>>;

/// The largest body that a request needs.
const MAX_BODY: usize = 4 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

const INDEX: &str = "\
outrigger's admin API

GET  /livez             is the process up?
GET  /readyz            should it get traffic?
GET  /metrics           in Prometheus's text format
GET  /config            the effective configuration
GET  /certs             every certificate that is used, what expires next first
GET  /listeners         where callers connect
GET  /routes            what is matched, and where it goes
GET  /routes/{name}
PUT  /routes/{name}/breaker   a JSON object whose state is open, closed or auto
GET  /upstreams         who answers, and how they do
GET  /upstreams/{name}
POST /reload            read the configuration again
PUT  /log-level         off, error, warn, info or debug
POST /drain             fail readiness and let requests finish
POST /quit              drain, then end
";

/// The whole API, for those who may steer the proxy; `address` is the one that it is served on.
pub fn api(proxy: Arc<dyn Proxy>, address: &ListenAddress) -> Router {
    probe_routes()
        .route("/", get(async || text(StatusCode::OK, INDEX)))
        .route("/config", get(config))
        .route("/certs", get(certificates))
        .route("/listeners", get(listeners))
        .route("/routes", get(routes))
        .route("/routes/{name}", get(route))
        .route("/routes/{name}/health", get(not_built))
        .route("/routes/{name}/stats", get(not_built))
        .route("/routes/{name}/breaker", put(breaker))
        .route("/upstreams", get(upstreams))
        .route("/upstreams/{name}", get(upstream))
        .route("/explain", post(not_built))
        .route("/reload", post(reload))
        .route("/log-level", put(log_level))
        .route("/drain", post(drain))
        .route("/quit", post(quit))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(Guard::of(address), guard::check))
        .with_state(proxy)
}

/// What anybody may ask, under any name: kubelet and Prometheus come by the pod's address.
pub fn probes(proxy: Arc<dyn Proxy>) -> Router {
    probe_routes()
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(proxy)
}

fn probe_routes() -> Router<Arc<dyn Proxy>> {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

async fn readyz(State(proxy): Shared) -> Response {
    match proxy.readiness() {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(proxy): Shared) -> Response {
    answer::with_type(StatusCode::OK, PROMETHEUS_TEXT, proxy.metrics())
}

async fn config(State(proxy): Shared) -> Response {
    answer::json(&proxy.config())
}

async fn certificates(State(proxy): Shared) -> Response {
    answer::json(&proxy.certificates())
}

async fn listeners(State(proxy): Shared) -> Response {
    answer::json(&proxy.listeners())
}

async fn routes(State(proxy): Shared) -> Response {
    answer::json(&proxy.routes())
}

async fn route(State(proxy): Shared, Path(name): Path<String>) -> Response {
    found("route", &name, proxy.route(&name))
}

async fn upstreams(State(proxy): Shared) -> Response {
    answer::json(&proxy.upstreams())
}

async fn upstream(State(proxy): Shared, Path(name): Path<String>) -> Response {
    found("upstream", &name, proxy.upstream(&name))
}

fn found(what: &str, name: &str, value: Option<Value>) -> Response {
    match value {
        Some(value) => answer::json(&value),
        None => problem(
            StatusCode::NOT_FOUND,
            &format!("no {what} is named `{name}`"),
        ),
    }
}

async fn reload(State(proxy): Shared) -> Response {
    match proxy.reload().await {
        Ok(outcome) => answer::json(&outcome),
        Err(report) => text(StatusCode::UNPROCESSABLE_ENTITY, report),
    }
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

async fn breaker(State(proxy): Shared, Path(name): Path<String>, body: Body) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        state: Order,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Open,
        Closed,
        Auto,
    }

    let body = match whole(body).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let wanted: Wanted = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => {
            let how = "write the state as {\"state\": \"open\"}, \"closed\" or \"auto\"";
            return problem(StatusCode::BAD_REQUEST, &format!("{how}: {error}"));
        }
    };
    let order = match wanted.state {
        Order::Open => Forced::Open,
        Order::Closed => Forced::Closed,
        Order::Auto => Forced::No,
    };
    match proxy.set_breaker(&name, order) {
        Ok(()) => found("route", &name, proxy.route(&name)),
        Err(NoBreaker::NoRoute) => found("route", &name, None),
        Err(NoBreaker::NotAsked) => problem(
            StatusCode::CONFLICT,
            &format!(
                "the route `{name}` has no circuit breaker: set `circuit_breaker` in its config"
            ),
        ),
    }
}

async fn log_level(State(proxy): Shared, body: Body) -> Response {
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
        return wanted.level.parse();
    }
    text.trim_matches('"').parse()
}

async fn drain(State(proxy): Shared) -> Response {
    proxy.drain();
    text(StatusCode::OK, "draining\n")
}

async fn quit(State(proxy): Shared) -> Response {
    proxy.quit();
    text(StatusCode::OK, "quitting\n")
}

async fn not_built() -> Response {
    problem(StatusCode::NOT_IMPLEMENTED, "not built yet")
}

async fn not_found(uri: Uri) -> Response {
    problem(
        StatusCode::NOT_FOUND,
        &format!("there is nothing at {}", uri.path()),
    )
}

/// The router adds `Allow`.
async fn method_not_allowed() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "`Allow` names the methods that work here",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fake::{Fake, Served, api_over_tcp, exchange, probes_over_tcp};

    async fn get_from(served: &Served, path: &str) -> String {
        exchange(
            served,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"),
        )
        .await
    }

    fn json_of(answer: &str) -> Value {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("json"), "{head}");
        assert!(body.ends_with('\n'));
        serde_json::from_str(body).unwrap()
    }

    #[tokio::test]
    async fn reads_show_what_the_proxy_tells() {
        let served = api_over_tcp(Fake::default()).await;
        for path in ["/config", "/certs", "/listeners", "/routes", "/upstreams"] {
            let answer = get_from(&served, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(json_of(&answer)["what"], path[1..], "{answer}");
        }
        let pay = get_from(&served, "/routes/pay").await;
        assert_eq!(json_of(&pay)["what"], "pay");
        assert!(pay.contains("{\n  \"what\": \"pay\"\n}"));
        let none = get_from(&served, "/upstreams/nobody").await;
        assert!(none.starts_with("HTTP/1.1 404"));
        assert_eq!(json_of(&none)["detail"], "no upstream is named `nobody`");
        assert!(get_from(&served, "/").await.contains("POST /reload"));
    }

    #[tokio::test]
    async fn probes_are_answered_whoever_asks() {
        let served = probes_over_tcp(Fake::default()).await;
        let ask = async |path: &str| {
            exchange(
                &served,
                &format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n"),
            )
            .await
        };
        assert!(ask("/livez").await.ends_with("ok\n"));
        assert!(ask("/readyz").await.starts_with("HTTP/1.1 200"));
        let metrics = ask("/metrics").await;
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"));
        assert!(metrics.ends_with("up 1\n"));
        served.proxy.set_unready("draining");
        let answer = ask("/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        assert!(answer.ends_with("draining\n"));
        assert!(ask("/config").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn changes_need_a_method_that_changes() {
        let served = api_over_tcp(Fake::default()).await;
        let answer = get_from(&served, "/quit").await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.contains("allow: POST\r\n"), "{answer}");
        assert!(answer.contains("application/problem+json"));
        assert_eq!(served.proxy.calls(), [""; 0]);
        for path in ["/drain", "/quit"] {
            let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n");
            assert!(
                exchange(&served, &request)
                    .await
                    .starts_with("HTTP/1.1 200")
            );
        }
        assert_eq!(served.proxy.calls(), ["drain", "quit"]);
    }

    #[tokio::test]
    async fn head_is_answered_like_get_without_body() {
        let served = api_over_tcp(Fake::default()).await;
        let answer = exchange(&served, "HEAD /livez HTTP/1.1\r\nHost: localhost\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200"));
        assert!(answer.ends_with("\r\n\r\n"));
    }

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
            ["breaker Open", "breaker Closed", "breaker No"]
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

    #[tokio::test]
    async fn what_is_not_there_is_said_so() {
        let served = api_over_tcp(Fake::default()).await;
        let answer = get_from(&served, "/nothing").await;
        assert!(answer.starts_with("HTTP/1.1 404"));
        assert_eq!(json_of(&answer)["detail"], "there is nothing at /nothing");
        for path in ["/routes/pay/health", "/routes/pay/stats"] {
            let answer = get_from(&served, path).await;
            assert!(answer.starts_with("HTTP/1.1 501"));
            assert_eq!(json_of(&answer)["detail"], "not built yet");
        }
        let explain = exchange(&served, "POST /explain HTTP/1.1\r\nHost: localhost\r\n").await;
        assert!(explain.starts_with("HTTP/1.1 501"));
    }

    #[tokio::test]
    async fn strangers_names_and_pages_are_refused() {
        let served = api_over_tcp(Fake::default()).await;
        let rebound = "POST /quit HTTP/1.1\r\nHost: evil.example\r\n";
        let forged = "POST /quit HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n";
        for request in [rebound, forged] {
            let answer = exchange(&served, request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
            assert!(answer.contains("application/problem+json"));
        }
        assert_eq!(served.proxy.calls(), [""; 0]);
        let nowhere = exchange(&served, "GET /nothing HTTP/1.1\r\nHost: evil.example\r\n").await;
        assert!(nowhere.starts_with("HTTP/1.1 403"));
    }
}
