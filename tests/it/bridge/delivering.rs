//! What becomes of messages that are delivered.

use serde_json::json;

use super::{delivering, publish, setup, start, state};
use crate::support::{LIMIT, Launch, NatsServer, Origin, Proxy, SOON, Script, eventually, stays};

#[test]
fn a_message_enters_the_route_of_its_subscription() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = start(&server, &origin, "");
    let fields = [
        ("ce-id", "7"),
        ("ce-type", "order.made"),
        ("ce-source", "/shop"),
        ("ce-specversion", "1.0"),
        ("content-type", "application/json"),
        ("x-tenant", "acme"),
    ];
    let answer = proxy
        .client()
        .request("POST", "/publish/new", &fields, "{\"total\":1}");
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("outrigger-message-id"), Some("7"));
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let delivered = origin.only_request();
    assert_eq!(
        (delivered.method(), delivered.target()),
        ("POST", "/events/orders")
    );
    assert_eq!(delivered.text(), "{\"total\":1}");
    for (name, value) in [
        ("content-type", Some("application/json")),
        ("ce-id", Some("7")),
        ("ce-type", Some("order.made")),
        ("outrigger-message-id", Some("7")),
        ("outrigger-attempt", Some("1")),
        ("outrigger-redelivered", Some("false")),
        ("x-tenant", None),
    ] {
        assert_eq!(delivered.header(name), value, "{name}");
    }
    assert!(delivered.header("x-request-id").is_some());
    let metrics = proxy.metrics();
    for (name, labels) in [
        (
            "outrigger_published_total",
            [("route", "publish"), ("result", "confirmed")],
        ),
        (
            "outrigger_delivered_total",
            [("subscription", "handler"), ("result", "acked")],
        ),
        (
            "outrigger_requests_total",
            [("listener", "subscriptions.handler"), ("route", "all")],
        ),
    ] {
        assert_eq!(metrics.sum(name, &labels), 1.0, "{name}");
    }
    assert_eq!(
        metrics.sum("outrigger_broker_connected", &[("broker", "events")]),
        1.0
    );
    // A message is told of as any other request.
    let stats = proxy.admin("GET", "/routes/all/stats", "").json();
    assert_eq!(
        (&stats["requests"], &stats["successes"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn what_fails_is_tried_again_and_then_is_a_dead_letter() {
    let server = NatsServer::start();
    let failing = || Script::new().answering("500 Internal Server Error", "no");
    let path = "/events/orders";
    let origin = Origin::start()
        .on(path, failing())
        .on(path, failing())
        .on(path, failing());
    let origin = origin.on(path, Script::answer("ok"));
    let proxy = start(&server, &origin, "");
    publish(&proxy, "new", "poison");
    eventually(LIMIT, "it is dead", || state(&proxy)["dead_lettered"] == 1);
    let attempts: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.header("outrigger-attempt").unwrap().to_owned())
        .collect();
    assert_eq!(attempts, ["1", "2", "3"]);
    let now = state(&proxy);
    assert_eq!(now["retried"], json!([1, 1]));
    assert_eq!(now["last_failures"][0]["then"], "dead-lettered");
    let path = "/subscriptions/handler/dead-letters";
    let letters = proxy
        .admin("GET", &format!("{path}?limit=5&bytes=100"), "")
        .json();
    assert_eq!(letters.as_array().unwrap().len(), 1, "{letters}");
    let letter = &letters[0];
    assert_eq!(letter["message_id"], "poison");
    assert_eq!(
        (&letter["reason"], &letter["attempts"]),
        (&json!("status_500"), &json!(3))
    );
    assert_eq!(letter["body"], "{\"id\":\"poison\"}");
    eventually(SOON, "it is logged", || {
        proxy.log().contains("a message is a dead letter")
    });
    let replayed = proxy
        .admin("POST", &format!("{path}/replay?limit=5"), "")
        .json();
    assert_eq!(replayed, json!({ "replayed": 1 }));
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("outrigger-attempt"), Some("1"));
    assert_eq!(proxy.admin("GET", path, "").json(), json!([]));
}

#[test]
fn what_the_application_refuses_is_a_dead_letter_at_once() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let origin = origin.on(
        "/events/orders",
        Script::new().answering("404 Not Found", ""),
    );
    let proxy = start(&server, &origin, "");
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is dead", || state(&proxy)["dead_lettered"] == 1);
    assert_eq!(origin.requests().len(), 1);
    let path = "/subscriptions/handler/dead-letters";
    let deleted = proxy.admin("DELETE", path, "");
    assert_eq!(deleted.status, 400, "how many has to be said");
    let deleted = proxy.admin("DELETE", &format!("{path}?limit=5"), "").json();
    assert_eq!(deleted, json!({ "deleted": 1 }));
    assert_eq!(proxy.admin("GET", path, "").json(), json!([]));
}

#[test]
fn an_application_that_is_not_up_costs_no_attempt() {
    let server = NatsServer::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let proxy = Proxy::with(&setup(&server.url(), address, ""));
    delivering(&proxy);
    for id in ["a", "b", "c"] {
        publish(&proxy, "new", id);
    }
    eventually(LIMIT, "it waits", || state(&proxy)["state"] == "waiting");
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains("connect_failed"), "{why}");
    let origin = Origin::on_listener(std::net::TcpListener::bind(address).unwrap());
    eventually(LIMIT, "all are delivered", || state(&proxy)["acked"] == 3);
    for request in origin.requests() {
        assert_eq!(request.header("outrigger-attempt"), Some("1"));
    }
}

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
fn what_is_under_way_ends_before_the_process_does() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let gate = crate::support::Gate::new();
    let origin = origin.on(
        "/events/orders",
        Script::new().wait(&gate).answering("200 OK", ""),
    );
    let config = setup(&server.url(), origin.address(), "prefetch = 1");
    let toml = config
        .toml()
        .replace("timeout = \"2s\"", "timeout = \"20s\"");
    let mut proxy = Launch::new(format!("{toml}\n[shutdown]\ndelay = \"0s\"\n")).start();
    delivering(&proxy);
    publish(&proxy, "new", "a");
    publish(&proxy, "new", "b");
    eventually(LIMIT, "one is under way", || origin.requests().len() == 1);
    proxy.terminate();
    eventually(SOON, "it ends", || proxy.log().contains("draining"));
    gate.open();
    proxy.wait_exit(LIMIT);
    assert_eq!(origin.requests().len(), 1, "no more were taken");
    // The other one is there for the next.
    let next = Proxy::with(&config);
    eventually(LIMIT, "it is delivered", || state(&next)["acked"] == 1);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("outrigger-message-id"), Some("b"));
    assert_eq!(last.header("outrigger-attempt"), Some("1"));
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
