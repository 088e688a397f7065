//! Rows that go to each kind of broker. What cannot be published there has its own reason, and others go on.

use super::{COLUMNS, LIMIT, Table, by_key, state};
use crate::support::{KafkaCluster, NatsServer, Origin, Proxy, Setup, eventually};

/// Relays 300 rows of 7 keys, and between them others that lead nowhere or are too large, and looks what comes of it.
/// `broker` has the broker's block and what a subscription consumes, `to` where a message goes, and `nowhere` the kinds of
/// rows that lead nowhere, with a part of the reason.
fn relay(broker: &str, source: &str, to: &str, nowhere: &[(&str, &str)]) {
    let (table, origin) = (Table::new(), Origin::start());
    let some = |from: u32, to: u32| {
        table.insert(&format!(
            "select 'k' || i % 7, 'made', to_jsonb(i) from generate_series({from}, {to}) i"
        ));
    };
    some(1, 150);
    for (kind, _) in nowhere {
        table.insert(&format!("values ('k-{kind}', '{kind}', to_jsonb(0))"));
    }
    table.insert("values ('k-large', 'made', to_jsonb(repeat('x', 5000)))");
    some(151, 300);
    let setup = Setup::to_address(origin.address())
        .route("match = { path = \"/app/{*rest}\" }")
        .also(format!(
            r#"
[databases.main]
url = {{ value = "{}" }}

{broker}

[subscriptions.handler]
broker = "events"
{source}
route = "all"
path = "/events/orders"
ordered_by = "header:x-key"

[relays.orders]
database = "main"
table = "outbox"
publish = {{ broker = "events", {to}, max_body = "4KiB", headers = {{ x-key = "${{row.aggregate_id}}" }} }}
poll = "100ms"
attempts = 2
{COLUMNS}
"#,
            table.url()
        ));
    let proxy = Proxy::with(&setup);
    let left = nowhere.len() + 1;
    eventually(LIMIT, "the others are set aside", || {
        table.count("error is not null") == left
    });
    eventually(LIMIT, "no others are left", || table.count("true") == left);
    eventually(LIMIT, "all are delivered", || origin.complete() >= 300);
    for (key, bodies) in by_key(&origin) {
        let mut numbers: Vec<u32> = bodies.iter().map(|body| body.parse().unwrap()).collect();
        let all = numbers.len();
        assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        numbers.dedup();
        assert_eq!(numbers.len(), all, "{key}: none twice: {numbers:?}");
    }
    for (kind, reason) in nowhere {
        let error = table.sql(&format!("select error from outbox where kind = '{kind}'"));
        assert!(error.contains(reason), "{kind}: {error}");
        let attempts = table.sql(&format!(
            "select attempts from outbox where kind = '{kind}'"
        ));
        assert_eq!(attempts, "2", "{kind}");
    }
    let large = table.sql("select error || attempts from outbox where aggregate_id = 'k-large'");
    assert!(
        large.contains("and this relay takes 4096") && large.ends_with('1'),
        "{large}"
    );
    eventually(LIMIT, "all are counted", || {
        state(&proxy)["published"] == 300
    });
    let now = state(&proxy);
    assert_eq!((&now["set_aside"], &now["held"]), (&left.into(), &0.into()));
}

#[test]
fn to_nats() {
    let server = NatsServer::start();
    let broker = format!(
        r#"
[brokers.events]
url = {{ value = "{}" }}
[brokers.events.streams.orders]
subjects = ["made.>"]
"#,
        server.url()
    );
    let to = r#"subject = "${row.kind}.new""#;
    let nowhere = [("gone", "no stream has the subject `gone.new`")];
    relay(&broker, "stream = \"orders\"", to, &nowhere);
}

#[test]
fn to_rabbitmq() {
    let url = std::env::var("OUTRIGGER_TEST_RABBITMQ")
        .expect("OUTRIGGER_TEST_RABBITMQ, which `tests/run` sets by `tests/servers/rabbitmq`");
    let own = format!("relay-{:08x}", fastrand::u32(..));
    let broker = format!(
        r##"
[brokers.events]
url = {{ value = "{url}" }}
[brokers.events.exchanges."{own}-made"]
type = "topic"
[brokers.events.exchanges."{own}-lost"]
type = "topic"
[brokers.events.queues."{own}"]
bind = [{{ exchange = "{own}-made", key = "#" }}]
arguments = {{ x-expires = 60000 }}
"##
    );
    let to = format!(r#"exchange = "{own}-${{row.kind}}", routing_key = "${{row.aggregate_id}}""#);
    // What an exchange that is not there ends is the channel of all.
    let nowhere = [("gone", "no exchange"), ("lost", "to no queue")];
    relay(&broker, &format!("queue = \"{own}\""), &to, &nowhere);
}

#[test]
fn to_kafka() {
    let cluster = KafkaCluster::start();
    let broker = format!(
        r#"
[brokers.events]
url = {{ value = "{}" }}
heartbeat = "6s"
[brokers.events.topics.made]
partitions = 3
"#,
        cluster.url()
    );
    let to = r#"topic = "${row.kind}", key = "${row.aggregate_id}""#;
    let nowhere = [("gone", "there is no topic `gone`")];
    relay(&broker, "topic = \"made\"\ngroup = \"shop\"", to, &nowhere);
}
