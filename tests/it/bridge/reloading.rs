//! Brokers and subscriptions of a config that changes.

use serde_json::json;

use super::{delivering, publish, setup, start, state};
use crate::support::{LIMIT, NatsServer, Origin, Proxy, SOON, Setup, eventually};

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

/// The one before goes on until the new one can be connected to.
#[test]
fn a_url_with_a_wrong_password_ends_nothing() {
    let server = NatsServer::with("authorization { user: me, password: hush }");
    let origin = Origin::start();
    let url = |password: &str| format!("nats://me:{password}@{}", server.host());
    let config = |password: &str| setup(&url(password), origin.address(), "").toml();
    let mut proxy = Proxy::with(&setup(&url("hush"), origin.address(), ""));
    delivering(&proxy);
    let broker = |proxy: &Proxy| proxy.admin("GET", "/brokers", "").json()[0].clone();
    for round in 0..2 {
        proxy.reload_with(config(&format!("wrong{round}")));
        eventually(LIMIT, "it says why the new one is not used", || {
            let what = broker(&proxy)["mismatches"][0].clone();
            what["what"] == "url"
                && what["why"]
                    .as_str()
                    .is_some_and(|why| why.contains("password"))
        });
        assert_eq!(broker(&proxy)["connected"], true);
        publish(&proxy, "new", &format!("kept{round}"));
        eventually(LIMIT, "it is delivered", || {
            origin.requests().len() == round + 1
        });
    }
    server.configure("authorization { user: me, password: \"wrong1\" }");
    server.reload();
    eventually(LIMIT, "the new one has connected", || {
        let now = broker(&proxy);
        now["connected"] == true && now["mismatches"] == json!([])
    });
    publish(&proxy, "new", "last");
    eventually(LIMIT, "it is delivered", || origin.requests().len() == 3);
    assert!(!proxy.log().contains("wrong1"));
}

#[test]
fn a_url_with_a_wrong_password_ends_nothing_at_rabbitmq_either() {
    let url = std::env::var("OUTRIGGER_TEST_RABBITMQ").expect("tests/run sets it");
    let queue = format!("reloading-{}", std::process::id());
    let origin = Origin::start();
    let config = |url: &str| {
        Setup::to_address(origin.address())
            .route("match = { path = \"/app/{*rest}\" }")
            .also(format!(
                r#"
[brokers.events]
url = {{ value = "{url}" }}
[brokers.events.queues.{queue}]

[routes.publish]
match = {{ path = "/publish/{{kind}}", methods = ["POST"] }}
publish = {{ broker = "events", routing_key = "{queue}" }}

[subscriptions.handler]
broker = "events"
queue = "{queue}"
route = "all"
path = "/events/orders"
"#
            ))
    };
    let mut proxy = Proxy::with(&config(&url));
    delivering(&proxy);
    proxy.reload_with(config(&url.replace(":guest@", ":wrong@")).toml());
    let broker = |proxy: &Proxy| proxy.admin("GET", "/brokers", "").json()[0].clone();
    eventually(LIMIT, "it says why the new one is not used", || {
        let why = broker(&proxy)["mismatches"][0]["why"].clone();
        why.as_str()
            .is_some_and(|why| why.contains("refused the login"))
    });
    publish(&proxy, "new", "kept");
    eventually(LIMIT, "it is delivered", || origin.requests().len() == 1);
    proxy.reload_with(config(&url).toml());
    eventually(LIMIT, "it is as it was", || {
        broker(&proxy)["mismatches"] == json!([])
    });
    publish(&proxy, "new", "last");
    eventually(LIMIT, "it is delivered", || origin.requests().len() == 2);
}
