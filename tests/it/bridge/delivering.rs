//! What becomes of messages that are delivered.

use serde_json::json;

use super::{EVENTS, delivering, publish, setup, start, state};
use crate::support::{LIMIT, Launch, NatsServer, Origin, SOON, Script, eventually, stays};

#[test]
fn a_paused_subscription_takes_nothing() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = start(&server, &origin, "");
    let paused = proxy.admin("POST", "/subscriptions/handler/pause", "");
    assert_eq!(paused.json(), json!({ "paused": true }));
    eventually(SOON, "it is paused", || state(&proxy)["state"] == "paused");
    publish(&proxy, "new", "a");
    stays(
        std::time::Duration::from_millis(500),
        "nothing is delivered",
        || origin.requests().is_empty(),
    );
    proxy.admin("POST", "/subscriptions/handler/resume", "");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let nobody = proxy.admin("POST", "/subscriptions/nobody/pause", "");
    assert_eq!(nobody.status, 404);
}

#[test]
fn a_message_that_failed_is_remembered_with_where_it_came_from() {
    let server = NatsServer::start();
    let unwell = Script::new().answering("503 Service Unavailable", "");
    let origin = Origin::start().on(EVENTS, unwell);
    let origin = origin.on(EVENTS, Script::answer("ok"));
    let proxy = start(&server, &origin, "");
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let found = proxy.admin("GET", "/requests?route=all", "").json();
    let one = &found[0];
    let source = json!({ "system": "nats", "broker": "events", "destination": "orders" });
    assert_eq!(one["source"], source, "{found}");
    assert_eq!(one["listener"], "subscriptions.handler", "{found}");
    assert_eq!(
        (&one["status"], &one["path"]),
        (&json!(503), &json!(EVENTS))
    );
    let attempt = &one["attempts"][0];
    let endpoint = json!(origin.address().to_string());
    assert_eq!(
        (&attempt["endpoint"], &attempt["outcome"]),
        (&endpoint, &json!("503"))
    );
    assert!(attempt["phases"]["first_byte"].is_f64(), "{found}");
    // What asked the broker is another request, and went well.
    assert_eq!(
        (one["broker"].as_str(), found.as_array().unwrap().len()),
        (None, 1)
    );
}

#[test]
fn an_application_that_is_not_healthy_costs_no_attempt() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let unwell = || Script::new().answering("503 Service Unavailable", "");
    let origin = (0..4).fold(origin, |origin, _| origin.on("/health", unwell()));
    let origin = origin.on("/health", Script::answer("ok"));
    let toml = setup(&server.url(), origin.address(), "").toml();
    let checked = "health_check = { path = \"/health\", interval = \"1s\", healthy_after = 1, unhealthy_after = 1 }";
    let toml = toml.replace(
        "[upstreams.origin]",
        &format!("[upstreams.origin]\n{checked}"),
    );
    let proxy = Launch::new(toml).start();
    delivering(&proxy);
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it waits", || state(&proxy)["state"] == "waiting");
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains("no_healthy_endpoint"), "{why}");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let requests = origin.requests();
    let delivered: Vec<_> = requests
        .iter()
        .filter(|request| request.target() == "/events/orders")
        .collect();
    assert_eq!(delivered.len(), 1);
    assert_eq!(delivered[0].header("outrigger-attempt"), Some("1"));
}
