//! What the admin API answers. Reads are GET and change nothing; changes are orders, and need POST or PUT.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post, put};
use http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::answer::{self, found, problem, text};
use super::guard::{self, Guard};
use super::registration::Kind;
use super::{
    Proxy, configs, explaining, index, metrics, orders, page, registering, relays, requests,
    subscriptions,
};
use crate::listener::ListenAddress;
use crate::policy;
use crate::policy::orders::OrderKind;

pub(super) type ProxyState = State<Arc<dyn Proxy>>;

/// The whole API, for those who may steer the proxy; `address` is the one that it is served on.
pub fn api(proxy: Arc<dyn Proxy>, address: &ListenAddress) -> Router {
    probe_routes()
        .merge(page::routes(index::text))
        .route("/config", get(config))
        .route("/config/places", get(places))
        .route("/stats", get(stats))
        .route("/reloads", get(reloads))
        .route("/certs", get(certificates))
        .route("/listeners", get(listeners))
        .route("/routes", get(routes))
        .route("/routes/{name}", registrable(Kind::Route, get(route)))
        .route("/routes/{name}/health", get(route_health))
        .route("/routes/{name}/stats", get(route_stats))
        .merge(policy_orders())
        .route("/requests", get(requests::all))
        .route("/requests/{request_id}", get(requests::one))
        .route("/upstreams", get(upstreams))
        .route(
            "/upstreams/{name}",
            registrable(Kind::Upstream, get(upstream)),
        )
        .route("/brokers", get(brokers))
        .route("/databases", get(databases))
        .route("/subscriptions", get(subscriptions::all))
        .route("/subscriptions/{name}", get(subscriptions::one))
        .route("/subscriptions/{name}/pause", post(subscriptions::pause))
        .route("/subscriptions/{name}/resume", post(subscriptions::resume))
        .route(
            "/subscriptions/{name}/dead-letters",
            get(subscriptions::dead_letters).delete(subscriptions::discard),
        )
        .route(
            "/subscriptions/{name}/dead-letters/replay",
            post(subscriptions::replay),
        )
        .route("/relays", get(relays::all))
        .route("/relays/{name}", get(relays::one))
        .route("/relays/{name}/pause", post(relays::pause))
        .route("/relays/{name}/resume", post(relays::resume))
        .route("/explain", post(explaining::explain))
        .route("/diff", post(configs::diff))
        .route("/reload", post(orders::reload))
        .route("/log-level", get(log_level).put(orders::log_level))
        .route("/drain", post(orders::drain))
        .route("/quit", post(orders::quit))
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

/// The same, where one is registered by PUT and goes by DELETE.
fn registrable(kind: Kind, shown: MethodRouter<Arc<dyn Proxy>>) -> MethodRouter<Arc<dyn Proxy>> {
    shown
        .put(move |state, name, headers, body| registering::put(kind, state, name, headers, body))
        .delete(move |state, name, headers| registering::delete(kind, state, name, headers))
}

/// What operators order of the policies of a route.
fn policy_orders() -> Router<Arc<dyn Proxy>> {
    order_kinds().fold(Router::new(), |router, kind| {
        let handler = move |state, name, body| orders::to_policy(kind, state, name, body);
        router.route(&order_path(kind), put(handler))
    })
}

pub(super) fn order_kinds() -> impl Iterator<Item = &'static OrderKind> {
    policy::Config::ORDERS.iter().copied().flatten()
}

pub(super) fn order_path(kind: &OrderKind) -> String {
    format!("/routes/{{name}}/{}", kind.word)
}

fn probe_routes() -> Router<Arc<dyn Proxy>> {
    Router::new()
        .route("/livez", get(async || text(StatusCode::OK, "ok\n")))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics::metrics))
}

/// Whether a broker is there changes nothing: all instances together would get no traffic while it is not, not even what
/// needs no broker. It is told to whoever reads on.
async fn readyz(State(proxy): ProxyState) -> Response {
    if let Err(why) = proxy.readiness() {
        return text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    }
    let brokers = proxy.brokers();
    let brokers = brokers.as_array().into_iter().flatten();
    let down = brokers.filter(|broker| broker["connected"] == false);
    let names = down.filter_map(|broker| broker["name"].as_str());
    let mut told = "ok\n".to_owned();
    told.extend(names.map(|name| format!("there is no connection to the broker `{name}`\n")));
    text(StatusCode::OK, told)
}

async fn config(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.config())
}

async fn places(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.places().await)
}

async fn stats(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.stats())
}

async fn reloads(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.reloads())
}

async fn certificates(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.certificates())
}

async fn brokers(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.brokers())
}

async fn databases(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.databases())
}

async fn listeners(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.listeners())
}

async fn routes(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.routes())
}

async fn route(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    registered(&*proxy, Kind::Route, &name, proxy.route(&name))
}

/// One thing by name, with its entity tag where it is registered.
fn registered(proxy: &dyn Proxy, kind: Kind, name: &str, value: Option<Value>) -> Response {
    let etag = value.as_ref().and_then(|_| proxy.registered(kind, name));
    let value = value.map(|mut value| {
        value["registered"] = json!(etag.is_some());
        value
    });
    registering::with_etag(found(kind.word(), name, value), etag.as_deref())
}

async fn route_health(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    found("route", &name, proxy.route_health(&name))
}

async fn route_stats(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    found("route", &name, proxy.route_stats(&name))
}

async fn upstreams(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.upstreams())
}

async fn upstream(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    registered(&*proxy, Kind::Upstream, &name, proxy.upstream(&name))
}

async fn log_level(State(proxy): ProxyState) -> Response {
    answer::json(&json!({ "level": proxy.log_level() }))
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
    use crate::admin::fake::{Fake, Served, api_over_tcp, exchange, json_of, probes_over_tcp};

    async fn get_from(served: &Served, path: &str) -> String {
        exchange(
            served,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n"),
        )
        .await
    }

    #[tokio::test]
    async fn reads_show_what_the_proxy_tells() {
        let served = api_over_tcp(Fake::default()).await;
        for path in [
            "/config",
            "/stats",
            "/reloads",
            "/certs",
            "/listeners",
            "/routes",
            "/upstreams",
        ] {
            let answer = get_from(&served, path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert_eq!(json_of(&answer)["what"], path[1..], "{answer}");
        }
        let pay = get_from(&served, "/routes/pay").await;
        assert_eq!(json_of(&pay)["what"], "pay");
        assert!(pay.contains("{\n  \"what\": \"pay\",\n  \"registered\": true\n}"));
        assert!(pay.contains("etag: \"one\"\r\n"), "{pay}");
        for (path, what) in [("health", "health of pay"), ("stats", "stats of pay")] {
            let answer = get_from(&served, &format!("/routes/pay/{path}")).await;
            assert_eq!(json_of(&answer)["what"], what);
            let nobody = get_from(&served, &format!("/routes/nobody/{path}")).await;
            assert!(nobody.starts_with("HTTP/1.1 404"), "{nobody}");
        }
        let none = get_from(&served, "/upstreams/nobody").await;
        assert!(none.starts_with("HTTP/1.1 404"));
        assert_eq!(json_of(&none)["detail"], "no upstream is named `nobody`");
        assert!(get_from(&served, "/").await.contains("POST /reload"));
        let level = get_from(&served, "/log-level").await;
        assert_eq!(json_of(&level)["level"], "warn");
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
        let ready = ask("/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
        assert!(
            ready.ends_with("ok\nthere is no connection to the broker `events`\n"),
            "{ready}"
        );
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
    async fn what_is_not_there_is_said_so() {
        let served = api_over_tcp(Fake::default()).await;
        let answer = get_from(&served, "/nothing").await;
        assert!(answer.starts_with("HTTP/1.1 404"));
        assert_eq!(json_of(&answer)["detail"], "there is nothing at /nothing");
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
