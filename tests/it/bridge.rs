//! From a request to a message, and from a message to a request, through the real program and a real broker.

use serde_json::{Value, json};

use crate::support::{
    LIMIT, Launch, NatsServer, Origin, Proxy, SOON, Script, Setup, eventually, stays,
};

/// What publishes to `orders.KIND`, and delivers what comes to the route `handler`.
fn setup(broker: &str, app: impl std::fmt::Display, subscription: &str) -> Setup {
    Setup::to_address(app)
        .route("match = { path = \"/app/{*rest}\" }")
        .route("timeout = \"2s\"")
        .also(format!(
            r#"
[brokers.events]
url = {{ value = "{broker}" }}
[brokers.events.streams.orders]
subjects = ["orders.>"]
retry = {{ delays = ["100ms", "200ms"] }}

[routes.publish]
match = {{ path = "/publish/{{kind}}", methods = ["POST"] }}
publish = {{ broker = "events", subject = "orders.${{path.kind}}" }}

[subscriptions.handler]
broker = "events"
stream = "orders"
route = "all"
path = "/events/orders"
{subscription}
"#
        ))
}

fn start(server: &NatsServer, origin: &Origin, subscription: &str) -> Proxy {
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), subscription));
    delivering(&proxy);
    proxy
}

fn delivering(proxy: &Proxy) {
    eventually(LIMIT, "it is connected, and consumes", || {
        proxy.admin("GET", "/brokers", "").json()[0]["connected"] == true
            && state(proxy)["state"] == "delivering"
    });
}

fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/subscriptions/handler", "").json()
}

fn publish(proxy: &Proxy, kind: &str, id: &str) {
    let fields = [
        ("idempotency-key", id),
        ("content-type", "application/json"),
    ];
    let body = format!("{{\"id\":\"{id}\"}}");
    let answer = proxy
        .client()
        .request("POST", &format!("/publish/{kind}"), &fields, &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(
        answer.json(),
        json!({ "message_id": id, "broker": "events", "confirmed": true })
    );
}

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
fn what_leads_nowhere_and_what_cannot_be_sent_is_told() {
    let (mut server, origin) = (NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), "").also(
        "[routes.lost]\nmatch = { path = \"/lost\" }\npublish = { broker = \"events\", subject = \"nobody.keeps.this\" }\n",
    ));
    delivering(&proxy);
    let answer = proxy
        .client()
        .request("POST", "/lost", &[("ce-id", "1")], "");
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (502, &json!("message_unroutable"))
    );
    assert_eq!(answer.header("outrigger-message-id"), Some("1"));
    server.kill();
    eventually(LIMIT, "it is not connected", || {
        proxy.admin("GET", "/brokers", "").json()[0]["connected"] == false
    });
    let answer = proxy.client().request("POST", "/publish/new", &[], "");
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (503, &json!("broker_unavailable"))
    );
    eventually(LIMIT, "the subscription says so", || {
        state(&proxy)["state"] == "detached"
    });
    server.again();
    delivering(&proxy);
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
}

#[test]
fn a_reload_keeps_what_is_the_same() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let mut proxy = start(&server, &origin, "");
    let since = proxy.admin("GET", "/brokers", "").json()[0]["since"].clone();
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let same = setup(&server.url(), origin.address(), "").toml();
    proxy.reload_with(same.replace("timeout = \"2s\"", "timeout = \"3s\""));
    assert_eq!(state(&proxy)["acked"], 1, "it is the same subscription");
    assert_eq!(proxy.admin("GET", "/brokers", "").json()[0]["since"], since);
    let other = setup(
        &server.url(),
        origin.address(),
        "prefetch = 1\ntimeout = \"9s\"",
    );
    proxy.reload_with(other.toml().replace("/events/orders", "/events/new"));
    delivering(&proxy);
    publish(&proxy, "new", "b");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    assert_eq!(origin.requests().pop().unwrap().target(), "/events/new");
    proxy.reload_with(Setup::to(&origin).toml());
    assert_eq!(proxy.admin("GET", "/subscriptions", "").json(), json!([]));
    assert_eq!(proxy.admin("GET", "/brokers", "").json(), json!([]));
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
fn a_key_of_another_kind_of_broker_is_a_problem_at_its_place() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let mut proxy = start(&server, &origin, "");
    let good = setup(&server.url(), origin.address(), "").toml();
    for (old, new, told) in [
        (
            "stream = \"orders\"",
            "queue = \"orders\"",
            "`queue` is of RabbitMQ, and the broker `events` is NATS",
        ),
        (
            "subject = \"orders",
            "topic = \"orders",
            "`topic` is of Kafka, and the broker `events` is NATS",
        ),
        (
            "streams.orders]\nsubjects = [\"orders.>\"]",
            "topics.orders]",
            "write `streams`",
        ),
        (
            "broker = \"events\"\nstream",
            "broker = \"event\"\nstream",
            "there is no broker `event`, did you mean `events`?",
        ),
        (
            "route = \"all\"",
            "route = \"al\"",
            "there is no route `al`, did you mean `all`?",
        ),
        ("nats://", "mqtt://", "has the scheme of no broker"),
    ] {
        let refused = proxy.reload_refused(good.replace(old, new));
        assert!(refused.contains(told), "{new}: {refused}");
    }
}

#[test]
fn a_request_that_is_sent_again_is_one_message() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = Proxy::with(&setup(&server.url(), origin.address(), "").also(
        r#"
[routes.again]
match = { path = "/again" }
publish = { broker = "events", subject = "orders.again" }
retry = { methods = ["POST"], attempts = 1, per_try_timeout = "1s", backoff = "1ms" }
"#,
    ));
    delivering(&proxy);
    server.freeze(true);
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| proxy.client().request("POST", "/again", &[], "x"));
        eventually(LIMIT, "it is sent again", || {
            proxy
                .metrics()
                .sum("outrigger_retries_total", &[("route", "again")])
                == 1.0
        });
        server.freeze(false);
        let answer = answer.join().unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    });
    publish(&proxy, "new", "last");
    eventually(LIMIT, "the last one is delivered", || {
        origin
            .requests()
            .iter()
            .any(|request| request.header("outrigger-message-id") == Some("last"))
    });
    assert_eq!(origin.requests().len(), 2, "NATS knows the id");
}

#[test]
fn a_request_that_shall_change_nothing_publishes_nothing() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let setup = setup(&server.url(), origin.address(), "")
        .also("[routes.any]\nmatch = { path = \"/any\" }\npublish = { broker = \"events\", subject = \"orders.any\" }\n");
    let proxy = Proxy::with(&setup);
    delivering(&proxy);
    for method in ["GET", "OPTIONS"] {
        let answer = proxy.client().request(method, "/any", &[], "");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"));
    }
    publish(&proxy, "new", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_broker_that_changes_refuses_nobody_and_keeps_a_pause() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let mut proxy = start(&server, &origin, "");
    proxy.admin("POST", "/subscriptions/handler/pause", "");
    eventually(SOON, "it is paused", || state(&proxy)["state"] == "paused");
    let toml = setup(&server.url(), origin.address(), "").toml();
    for seconds in [20, 21] {
        let heartbeat = format!("[brokers.events]\nheartbeat = \"{seconds}s\"");
        proxy.reload_with(toml.replace("[brokers.events]", &heartbeat));
        publish(&proxy, "new", &seconds.to_string());
    }
    eventually(SOON, "it is paused still", || {
        state(&proxy)["state"] == "paused"
    });
    assert!(origin.requests().is_empty());
    proxy.admin("POST", "/subscriptions/handler/resume", "");
    eventually(LIMIT, "both are delivered", || state(&proxy)["acked"] == 2);
}

#[test]
fn a_query_that_cannot_be_read_is_answered_as_all_else() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let proxy = start(&server, &origin, "");
    let path = "/subscriptions/handler/dead-letters";
    for query in ["limit=-1", "limit=99999999999999999999", "size=3"] {
        let answer = proxy.admin("GET", &format!("{path}?{query}"), "");
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.json()["title"], "Bad Request", "{query}");
    }
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

#[test]
fn no_more_dead_letters_are_looked_at_than_memory_allows() {
    let (server, origin) = (NatsServer::start(), Origin::start());
    let refuse = || Script::new().answering("404 Not Found", "");
    let origin = (0..22).fold(origin, |origin, _| origin.on("/events/orders", refuse()));
    let proxy = start(&server, &origin, "");
    let body = "x".repeat(900 << 10);
    for _ in 0..22 {
        let answer = proxy.client().request("POST", "/publish/new", &[], &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    eventually(LIMIT, "all are dead", || {
        state(&proxy)["dead_lettered"] == 22
    });
    let path = "/subscriptions/handler/dead-letters?limit=1000";
    let letters = proxy.admin("GET", path, "").json();
    assert_eq!(letters.as_array().unwrap().len(), 19, "16 MiB");
}
