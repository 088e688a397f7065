//! Through the real program: from a request to a message, and from a message to a request, beside what holds of every kind of
//! broker.

use serde_json::json;

use crate::bridge::{EVENTS, delivering, state};
use crate::support::{
    Gate, KafkaCluster, LIMIT, Launch, Origin, Proxy, SOON, Script, Setup, eventually, stays,
};

/// What publishes to the topic `orders`, and delivers what comes to the route `all`. `topic` and `subscription` are more of
/// these blocks.
pub fn setup(
    cluster: &KafkaCluster,
    app: impl std::fmt::Display,
    topic: &str,
    subscription: &str,
) -> Setup {
    let url = cluster.url();
    Setup::to_address(app)
        .route("timeout = \"2s\"")
        .also(format!(
            r#"
[brokers.events]
url = {{ value = "{url}" }}
heartbeat = "6s"
[brokers.events.topics.orders]
partitions = 2
{topic}

[routes.publish]
match = {{ path = "/publish/{{kind}}", methods = ["POST"] }}
publish = {{ broker = "events", topic = "orders", key = "${{header.x-user}}" }}

[subscriptions.handler]
broker = "events"
topic = "orders"
group = "shop"
route = "all"
path = "{EVENTS}"
{subscription}
"#
        ))
}

fn start(cluster: &KafkaCluster, origin: &Origin) -> Proxy {
    let proxy = Proxy::with(&setup(cluster, origin.address(), "", ""));
    delivering(&proxy);
    proxy
}

fn publish(proxy: &Proxy, user: &str, id: &str) {
    let fields = [("idempotency-key", id), ("x-user", user)];
    let answer = proxy
        .client()
        .request("POST", "/publish/new", &fields, "{\"total\":1}");
    assert_eq!(answer.status, 202, "{}", answer.text());
    let confirmed = json!({ "message_id": id, "broker": "events", "confirmed": true });
    assert_eq!(answer.json(), confirmed);
}

#[test]
fn a_pause_outlives_a_reload_and_ends() {
    let (cluster, origin) = (KafkaCluster::start(), Origin::start());
    let mut proxy = start(&cluster, &origin);
    publish(&proxy, "me", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
    let toml = setup(&cluster, origin.address(), "", "").toml();
    proxy.reload_with(toml.replace("timeout = \"2s\"", "timeout = \"3s\""));
    assert_eq!(state(&proxy)["acked"], 1, "it is the same subscription");
    proxy.admin("POST", "/subscriptions/handler/pause", "");
    eventually(SOON, "it is paused", || state(&proxy)["state"] == "paused");
    publish(&proxy, "me", "b");
    proxy.reload_with(toml.replace("heartbeat = \"6s\"", "heartbeat = \"7s\""));
    publish(&proxy, "me", "c");
    stays(
        std::time::Duration::from_millis(500),
        "nothing is delivered",
        || origin.requests().len() == 1,
    );
    proxy.admin("POST", "/subscriptions/handler/resume", "");
    eventually(LIMIT, "both are delivered", || state(&proxy)["acked"] == 2);
    for request in origin.requests() {
        assert_eq!(request.header("outrigger-redelivered"), Some("false"));
    }
    proxy.reload_with(Setup::to(&origin).toml());
    assert_eq!(proxy.admin("GET", "/subscriptions", "").json(), json!([]));
}

#[test]
fn a_group_is_joined_once_when_the_block_of_its_broker_has_changed() {
    let (mut cluster, origin) = (KafkaCluster::start(), Origin::start());
    let mut proxy = start(&cluster, &origin);
    assert_eq!(cluster.ask("newcomers"), 1);
    let toml = setup(&cluster, origin.address(), "", "").toml();
    proxy.reload_with(toml.replace("heartbeat = \"6s\"", "heartbeat = \"7s\""));
    publish(&proxy, "me", "a");
    eventually(LIMIT, "it is delivered", || origin.requests().len() == 1);
    assert_eq!(cluster.ask("newcomers"), 2);
}

#[test]
fn messages_of_one_key_are_delivered_one_after_the_other() {
    let cluster = KafkaCluster::start();
    let gate = Gate::new();
    let held = Script::new().wait(&gate).answering("200 OK", "");
    let origin = Origin::start()
        .on(EVENTS, held)
        .on(EVENTS, Script::answer("ok"));
    let config = setup(&cluster, origin.address(), "", "ordered_by = \"key\"");
    let toml = config
        .toml()
        .replace("timeout = \"2s\"", "timeout = \"20s\"");
    let proxy = Launch::new(toml).start();
    delivering(&proxy);
    publish(&proxy, "me", "a");
    eventually(LIMIT, "one is under way", || origin.requests().len() == 1);
    publish(&proxy, "me", "b");
    publish(&proxy, "you", "c");
    eventually(LIMIT, "another key goes on", || state(&proxy)["acked"] == 1);
    assert_eq!(origin.requests().len(), 2);
    gate.open();
    eventually(LIMIT, "all are delivered", || state(&proxy)["acked"] == 3);
    let ids: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.header("outrigger-message-id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["a", "c", "b"]);
}

#[test]
fn what_leads_nowhere_and_what_cannot_be_sent_is_told() {
    let (mut cluster, origin) = (KafkaCluster::start(), Origin::start());
    let lost = "[routes.lost]\nmatch = { path = \"/lost\" }\npublish = { broker = \"events\", topic = \"nowhere\" }\n";
    let proxy = Proxy::with(&setup(&cluster, origin.address(), "", "").also(lost));
    delivering(&proxy);
    let answer = proxy.client().request("POST", "/lost", &[], "");
    assert_eq!(
        (answer.status, &answer.json()["reason"]),
        (502, &json!("message_unroutable"))
    );
    cluster.run("broker_set_down -1");
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
    cluster.run("broker_set_up -1");
    delivering(&proxy);
    publish(&proxy, "me", "a");
    eventually(LIMIT, "it is delivered", || state(&proxy)["acked"] == 1);
}

#[test]
fn what_the_client_of_kafka_cannot_do_is_a_problem_at_its_place() {
    let (cluster, origin) = (KafkaCluster::start(), Origin::start());
    let mut proxy = start(&cluster, &origin);
    let good = setup(&cluster, origin.address(), "", "").toml();
    let secure = good.replace("kafka://", "kafkas://");
    let tls = |line: &str| secure.replace("heartbeat", &format!("tls = {{ {line} }}\nheartbeat"));
    for (toml, told) in [
        (
            tls("min_version = \"1.3\""),
            "`min_version` is not built for Kafka",
        ),
        (
            good.replace("partitions = 2", "partitions = 0"),
            "at least one partition",
        ),
        (
            good.replace("partitions = 2", "replicas = 0"),
            "on at least one broker",
        ),
        (
            good.replace("kafka://", "kafka://me@"),
            "a user and no password",
        ),
        (
            good.replace("topic = \"orders\"\ngroup", "stream = \"orders\"\ngroup"),
            "`stream` is of NATS, and `group` of Kafka",
        ),
    ] {
        let refused = proxy.reload_refused(toml);
        assert!(refused.contains(told), "{told}: {refused}");
    }
}
