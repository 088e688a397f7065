//! What becomes of messages that are delivered, of every kind of broker alike.

use std::fmt::Display;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::{EVENTS, LETTERS, delivering, state};
#[cfg(feature = "kafka")]
use crate::support::KafkaCluster;
use crate::support::{
    Gate, LIMIT, Launch, NatsServer, Origin, Proxy, SOON, Script, Setup, eventually,
};

/// Runs each of these cases on each kind of broker.
macro_rules! on_every_kind {
    ($($case:ident),+ $(,)?) => {
        mod nats {
            $(#[test]
            fn $case() {
                super::$case::<crate::support::NatsServer>();
            })+
        }

        #[cfg(feature = "kafka")]
        mod kafka {
            $(#[test]
            fn $case() {
                super::$case::<crate::support::KafkaCluster>();
            })+
        }
    };
}

on_every_kind!(
    a_message_enters_the_route_of_its_subscription,
    what_fails_is_tried_again_and_then_is_a_dead_letter,
    what_the_application_refuses_is_a_dead_letter_at_once,
    an_application_that_is_not_up_costs_no_attempt,
    what_is_under_way_ends_before_the_process_does,
);

/// A broker that was started for a test.
trait Broker {
    /// As `GET /brokers` calls it.
    const KIND: &'static str;

    fn new() -> Self;

    /// What publishes what is posted to `/publish/new`, and delivers it to `EVENTS` of the route `all`, with two steps before
    /// it is a dead letter.
    fn setup(&self, app: impl Display, subscription: &str) -> Setup;

    fn proxy(&self, origin: &Origin) -> Proxy {
        let proxy = Proxy::with(&self.setup(origin.address(), ""));
        delivering(&proxy);
        proxy
    }
}

impl Broker for NatsServer {
    const KIND: &'static str = "NATS";

    fn new() -> Self {
        NatsServer::start()
    }

    fn setup(&self, app: impl Display, subscription: &str) -> Setup {
        super::setup(&self.url(), app, subscription)
    }
}

#[cfg(feature = "kafka")]
impl Broker for KafkaCluster {
    const KIND: &'static str = "Kafka";

    fn new() -> Self {
        KafkaCluster::start()
    }

    fn setup(&self, app: impl Display, subscription: &str) -> Setup {
        let ladder = "retry = { delays = [\"300ms\", \"600ms\"] }";
        crate::kafka::program::setup(self, app, ladder, subscription)
    }
}

fn publish(proxy: &Proxy, id: &str) {
    let fields = [
        ("idempotency-key", id),
        ("content-type", "application/json"),
        ("x-user", "me"),
    ];
    let body = format!("{{\"id\":\"{id}\"}}");
    let answer = proxy
        .client()
        .request("POST", "/publish/new", &fields, &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let confirmed = json!({ "message_id": id, "broker": "events", "confirmed": true });
    assert_eq!(answer.json(), confirmed);
}

fn header(origin: &Origin, name: &str) -> Vec<Option<String>> {
    let requests = origin.requests();
    let values = requests.iter().map(|request| request.header(name));
    values.map(|value| value.map(str::to_owned)).collect()
}

fn letters(proxy: &Proxy, query: &str) -> Value {
    let path = format!("{LETTERS}{query}");
    proxy.admin("GET", &path, "").json()
}

fn a_message_enters_the_route_of_its_subscription<B: Broker>() {
    let (broker, origin) = (B::new(), Origin::start());
    let proxy = broker.proxy(&origin);
    let shown = &proxy.admin("GET", "/brokers", "").json()[0];
    assert_eq!(
        (&shown["kind"], &shown["mismatches"]),
        (&json!(B::KIND), &json!([]))
    );
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
    assert_eq!((delivered.method(), delivered.target()), ("POST", EVENTS));
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
    eventually(LIMIT, "nothing waits", || state(&proxy)["lag"] == 0);
}

fn what_fails_is_tried_again_and_then_is_a_dead_letter<B: Broker>() {
    let broker = B::new();
    let failing = || Script::new().answering("500 Internal Server Error", "no");
    let origin = (0..3).fold(Origin::start(), |origin, _| origin.on(EVENTS, failing()));
    let origin = origin.on(EVENTS, Script::answer("ok"));
    let proxy = broker.proxy(&origin);
    publish(&proxy, "poison");
    eventually(LIMIT, "it is dead", || state(&proxy)["dead_lettered"] == 1);
    let attempts = header(&origin, "outrigger-attempt");
    assert_eq!(attempts, ["1", "2", "3"].map(|text| Some(text.to_owned())));
    let now = state(&proxy);
    assert_eq!(now["retried"], json!([1, 1]));
    assert_eq!(now["last_failures"][0]["then"], "dead-lettered");
    let dead = letters(&proxy, "?limit=5&bytes=100");
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    let letter = &dead[0];
    assert_eq!(
        [
            &letter["message_id"],
            &letter["reason"],
            &letter["attempts"],
            &letter["body"]
        ],
        [
            &json!("poison"),
            &json!("status_500"),
            &json!(3),
            &json!("{\"id\":\"poison\"}")
        ]
    );
    eventually(SOON, "it is logged", || {
        proxy.log().contains("a message is a dead letter")
    });
    let replayed = proxy.admin("POST", &format!("{LETTERS}/replay?limit=5"), "");
    assert_eq!(replayed.json(), json!({ "replayed": 1 }));
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("outrigger-attempt"), Some("1"));
    assert_eq!(letters(&proxy, ""), json!([]));
}

fn what_the_application_refuses_is_a_dead_letter_at_once<B: Broker>() {
    let refused = Script::new().answering("404 Not Found", "");
    let (broker, origin) = (B::new(), Origin::start().on(EVENTS, refused));
    let proxy = broker.proxy(&origin);
    publish(&proxy, "a");
    eventually(LIMIT, "it is dead", || state(&proxy)["dead_lettered"] == 1);
    assert_eq!(origin.requests().len(), 1);
    let deleted = proxy.admin("DELETE", LETTERS, "");
    assert_eq!(deleted.status, 400, "how many has to be said");
    let deleted = proxy.admin("DELETE", &format!("{LETTERS}?limit=5"), "");
    assert_eq!(deleted.json(), json!({ "deleted": 1 }));
    assert_eq!(letters(&proxy, ""), json!([]));
}

fn an_application_that_is_not_up_costs_no_attempt<B: Broker>() {
    let broker = B::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let proxy = Proxy::with(&broker.setup(address, ""));
    delivering(&proxy);
    for id in ["a", "b", "c"] {
        publish(&proxy, id);
    }
    eventually(LIMIT, "it waits", || state(&proxy)["state"] == "waiting");
    let why = state(&proxy)["why"].to_string();
    assert!(why.contains("connect_failed"), "{why}");
    let origin = Origin::on_listener(TcpListener::bind(address).unwrap());
    eventually(LIMIT, "all are delivered", || state(&proxy)["acked"] == 3);
    for attempt in header(&origin, "outrigger-attempt") {
        assert_eq!(attempt.as_deref(), Some("1"));
    }
}

fn what_is_under_way_ends_before_the_process_does<B: Broker>() {
    let broker = B::new();
    let gate = Gate::new();
    let held = Script::new().wait(&gate).answering("200 OK", "");
    let origin = Origin::start().on(EVENTS, held);
    let config = broker.setup(origin.address(), "prefetch = 1");
    let toml = config
        .toml()
        .replace("timeout = \"2s\"", "timeout = \"20s\"");
    let mut proxy = Launch::new(format!("{toml}\n[shutdown]\ndelay = \"0s\"\n")).start();
    delivering(&proxy);
    publish(&proxy, "a");
    publish(&proxy, "b");
    eventually(LIMIT, "one is under way", || !origin.requests().is_empty());
    proxy.terminate();
    // Whoever is told later takes another one, and hands it back.
    eventually(SOON, "it ends", || {
        proxy.log().contains("\"state\":\"Ending\"")
    });
    gate.open();
    proxy.wait_exit(LIMIT);
    assert_eq!(origin.requests().len(), 1, "no more were taken");
    // The other one is there for the next.
    let next = Proxy::with(&config);
    eventually(LIMIT, "it is delivered", || state(&next)["acked"] == 1);
    let last = origin.requests().pop().unwrap();
    assert_eq!(last.header("outrigger-message-id"), Some("b"));
    assert_eq!(last.header("outrigger-attempt"), Some("1"));
    assert_eq!(last.header("outrigger-redelivered"), Some("false"));
}
