//! What is told of relays, and how they are paused.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::Relay;
use super::answer;
use super::router::ProxyState;

pub(super) async fn all(State(proxy): ProxyState) -> Response {
    answer::json(&proxy.relays())
}

pub(super) async fn one(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(&proxy, &name, |relay| relay.describe())
}

pub(super) async fn pause(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(&proxy, &name, |relay| {
        relay.pause();
        json!({ "paused": true })
    })
}

pub(super) async fn resume(State(proxy): ProxyState, Path(name): Path<String>) -> Response {
    with(&proxy, &name, |relay| {
        relay.resume();
        json!({ "paused": false })
    })
}

fn with(
    proxy: &std::sync::Arc<dyn super::Proxy>,
    name: &str,
    answer: impl FnOnce(&dyn Relay) -> Value,
) -> Response {
    let found = proxy.relay(name);
    answer::found("relay", name, found.map(|relay| answer(&*relay)))
}

#[cfg(test)]
mod tests {
    use crate::admin::fake::{Fake, api_over_tcp, exchange, json_of};

    #[tokio::test]
    async fn relays_are_shown_and_paused() {
        let served = api_over_tcp(Fake::default()).await;
        let ask = async |line: &str| {
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n");
            exchange(&served, &request).await
        };
        assert_eq!(json_of(&ask("GET /relays").await)["what"], "relays");
        assert_eq!(json_of(&ask("GET /relays/orders").await)["what"], "orders");
        let paused = ask("POST /relays/orders/pause").await;
        assert_eq!(json_of(&paused)["paused"], true);
        let resumed = ask("POST /relays/orders/resume").await;
        assert_eq!(json_of(&resumed)["paused"], false);
        assert_eq!(served.proxy.calls(), ["pause", "resume"]);
        for line in ["GET /relays/nobody", "POST /relays/nobody/pause"] {
            let nobody = ask(line).await;
            assert!(nobody.starts_with("HTTP/1.1 404"), "{nobody}");
            assert_eq!(json_of(&nobody)["detail"], "no relay is named `nobody`");
        }
    }
}
