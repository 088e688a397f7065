//! Streams and consumers that are otherwise than the config says.

use outrigger::broker::{Message, Verdict};
use serde_json::{Value, json};

use super::{ask, client, connected, make_consumer, message, next, publish, soon, source, until};
use crate::support::NatsServer;

#[tokio::test]
async fn streams_are_made_as_the_config_says_with_ladder_and_dead_letters() {
    let server = NatsServer::start();
    let config = "
        [streams.orders]
        subjects = [\"orders.>\"]
        retention = \"work-queue\"
        max_messages = 1000
        max_bytes = \"1MiB\"
        max_age = \"1h\"
        duplicate_window = \"5m\"
        retry.delays = [\"1s\"]
        [streams.plain]
        subjects = [\"plain\"]
        dead_letter = false
    ";
    let client = connected(&server, config).await;
    assert_eq!(client.state().mismatches, []);
    let info = ask(&server, "STREAM.INFO.orders", Value::Null).await;
    for (key, wanted) in [
        ("subjects", json!(["orders.>"])),
        ("retention", json!("workqueue")),
        ("storage", json!("file")),
        ("discard", json!("new")),
        ("max_msgs", json!(1000)),
        ("max_bytes", json!(1 << 20)),
        ("max_age", json!(3_600_000_000_000_u64)),
        ("duplicate_window", json!(300_000_000_000_u64)),
    ] {
        assert_eq!(info["config"][key], wanted, "{key}");
    }
    let names = ask(&server, "STREAM.NAMES", Value::Null).await;
    assert_eq!(
        names["streams"],
        json!(["orders", "orders-dlq", "orders-retry", "plain"])
    );
}

#[tokio::test]
async fn a_stream_that_is_otherwise_is_told_left_alone_and_used() {
    let server = NatsServer::start();
    let made =
        json!({ "name": "orders", "subjects": ["orders.>"], "storage": "memory", "max_msgs": 5 });
    ask(&server, "STREAM.CREATE.orders", made).await;
    // Another stream has its subjects: it cannot be made.
    let taken = json!({ "name": "taken", "subjects": ["other.>"] });
    ask(&server, "STREAM.CREATE.taken", taken).await;
    let config = "
        streams.orders.subjects = [\"orders.>\"]
        streams.orders.max_messages = 7
        streams.other.subjects = [\"other.*\"]
        streams.fine.subjects = [\"fine\"]
    ";
    let client = connected(&server, config).await;
    let told = client.state().mismatches;
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["streams.orders", "streams.other"], "{told:?}");
    assert!(
        told[0].1.contains("`storage` is \"memory\" there"),
        "{told:?}"
    );
    assert!(
        told[0].1.contains("`max_msgs` is 5 there and 7 here"),
        "{told:?}"
    );
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    soon(publish(&client, "fine", "1")).await.unwrap();
    let info = ask(&server, "STREAM.INFO.orders", Value::Null).await;
    assert_eq!(info["config"]["max_msgs"], 5);
}

/// A message that was given out as often as a consumer allows is invisible: no such consumer is used.
#[tokio::test]
async fn a_consumer_that_hides_messages_is_told_and_not_used() {
    let server = NatsServer::start();
    let client = connected(&server, "streams.orders.subjects = [\"orders.>\"]").await;
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    make_consumer(&server, "orders", "handler", json!({ "max_deliver": 3 })).await;
    let mut consumer = client.consume(&source("orders"), 4);
    until("it is told", || {
        let why = consumer.trouble();
        why.is_some_and(|why| why.contains("`max_deliver` is 3 there and -1 here"))
    })
    .await;
    let names = client.state().mismatches;
    assert_eq!(names[0].0, "consumers.orders.handler");
    ask(&server, "CONSUMER.DELETE.orders.handler", Value::Null).await;
    let delivery = next(&mut consumer).await;
    soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    assert_eq!(client.state().mismatches, []);
    assert_eq!(consumer.trouble(), None);
    let info = ask(&server, "CONSUMER.INFO.orders.handler", Value::Null).await;
    assert_eq!(info["config"]["max_deliver"], -1);
}

#[tokio::test]
async fn a_consumer_of_no_stream_says_so_and_begins_when_there_is_one() {
    let server = NatsServer::start();
    let client = client(&server.url(), "");
    let mut consumer = client.consume(&source("orders"), 4);
    until("it is told", || {
        consumer
            .trouble()
            .is_some_and(|why| why.contains("there is no stream `orders`"))
    })
    .await;
    let made = json!({ "name": "orders", "subjects": ["orders.>"] });
    ask(&server, "STREAM.CREATE.orders", made).await;
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, Message { ..message("1") });
    soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
}

/// A stream that keeps messages for those who consume confirms them to nobody's use while there is none.
#[tokio::test]
async fn an_interest_stream_confirms_and_keeps_nothing_without_consumers() {
    let server = NatsServer::start();
    let config = "
        streams.events.subjects = [\"events\"]
        streams.events.retention = \"interest\"
    ";
    let client = connected(&server, config).await;
    soon(publish(&client, "events", "1")).await.unwrap();
    assert_eq!(super::stored(&server, "events").await, 0);
}
