//! What becomes of a message that was taken.

use std::time::{Duration, Instant};

use outrigger::broker::{Source, Verdict};
use serde_json::{Value, json};

use super::{
    ask, connected, make_consumer, next, nothing_comes, publish, soon, source, stored, until,
};
use crate::support::NatsServer;

const ORDERS: &str = "
    [streams.orders]
    subjects = [\"orders.>\"]
    retention = \"work-queue\"
    retry.delays = [\"1s\", \"3s\"]
";

#[tokio::test]
async fn a_poison_message_climbs_the_ladder_in_its_time_and_is_buried() {
    let server = NatsServer::start();
    let config = ORDERS.replace("[\"1s\", \"3s\"]", "[\"4s\", \"6s\"]");
    let client = connected(&server, &config).await;
    let mut consumer = client.consume(&source("orders"), 4);
    soon(publish(&client, "orders.new", "poison"))
        .await
        .unwrap();
    let first = next(&mut consumer).await;
    let mut since = Instant::now();
    soon(first.settle.settle(Verdict::Retry { step: 0 }))
        .await
        .unwrap();
    for (attempt, wait, verdict) in [
        (2, 4.0, Verdict::Retry { step: 1 }),
        (
            3,
            6.0,
            Verdict::DeadLetter {
                reason: "status_500".to_owned(),
            },
        ),
    ] {
        let delivery = next(&mut consumer).await;
        let waited = since.elapsed().as_secs_f64();
        assert!((waited / wait - 1.0).abs() < 0.1, "{waited} s for {wait} s");
        assert_eq!(delivery.attempt, attempt);
        assert_eq!(delivery.message, super::message("poison"));
        assert_eq!(delivery.key.as_deref(), Some("orders.new"));
        since = Instant::now();
        soon(delivery.settle.settle(verdict)).await.unwrap();
    }
    let letters = soon(client.dead_letters(&source("orders"), 9))
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (letters[0].attempts, &*letters[0].reason),
        (3, "status_500")
    );
    assert_eq!(stored(&server, "orders").await, 0);
    assert_eq!(stored(&server, "orders-retry").await, 0);
}

#[tokio::test]
async fn copies_and_their_attempts_outlive_client_and_server() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let mut consumer = client.consume(&source("orders"), 4);
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    let first = next(&mut consumer).await;
    soon(first.settle.settle(Verdict::Retry { step: 1 }))
        .await
        .unwrap();
    soon(consumer.close()).await;
    soon(client.close()).await;
    drop(client);
    server.again();
    let client = connected(&server, ORDERS).await;
    let mut consumer = client.consume(&source("orders"), 4);
    let again = next(&mut consumer).await;
    assert_eq!((again.attempt, &*again.message.id), (2, "1"));
    soon(again.settle.settle(Verdict::Done)).await.unwrap();
    assert_eq!(stored(&server, "orders-retry").await, 0);
}

#[tokio::test]
async fn what_is_returned_or_dropped_comes_again_as_the_same_attempt() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let mut consumer = client.consume(&source("orders"), 4);
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    let first = next(&mut consumer).await;
    assert!(!first.redelivered);
    soon(first.settle.settle(Verdict::Return)).await.unwrap();
    let second = next(&mut consumer).await;
    assert_eq!((second.attempt, second.redelivered), (1, true));
    drop(second);
    let third = next(&mut consumer).await;
    assert_eq!((third.attempt, third.redelivered), (1, true));
    soon(third.settle.settle(Verdict::Done)).await.unwrap();
    assert_eq!(stored(&server, "orders").await, 0);
}

#[tokio::test]
async fn no_more_is_given_out_than_asked_for() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    for id in 0..5 {
        soon(publish(&client, "orders.new", &id.to_string()))
            .await
            .unwrap();
    }
    let mut consumer = client.consume(&source("orders"), 2);
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    assert!(nothing_comes(&mut consumer).await);
    let info = ask(&server, "CONSUMER.INFO.orders.handler", Value::Null).await;
    assert_eq!(info["num_ack_pending"], 2);
    soon(first.settle.settle(Verdict::Done)).await.unwrap();
    let third = next(&mut consumer).await;
    assert_eq!(third.message.id, "2");
    drop((second, third));
}

#[tokio::test]
async fn closing_hands_back_what_nobody_has_seen_and_lets_the_rest_be_settled() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    for id in ["0", "1", "2"] {
        soon(publish(&client, "orders.new", id)).await.unwrap();
    }
    let mut consumer = client.consume(&source("orders"), 3);
    let first = next(&mut consumer).await;
    soon(consumer.close()).await;
    soon(first.settle.settle(Verdict::Done)).await.unwrap();
    // At once, not when the server has waited long enough for an ack.
    let before = Instant::now();
    let mut other = client.consume(&source("orders"), 3);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut other).await;
        ids.push((delivery.message.id.clone(), delivery.attempt));
        soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    }
    assert!(before.elapsed() < Duration::from_secs(5));
    ids.sort();
    assert_eq!(ids, [("1".to_owned(), 1), ("2".to_owned(), 1)]);
}

/// The server would keep what it was about to give out to somebody who does not listen any more, for as long as it waits for
/// an acknowledgement: ten seconds.
#[tokio::test]
async fn what_comes_while_a_consumer_closes_comes_to_the_next_at_once() {
    const COUNT: usize = 400;
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    for number in 0..COUNT {
        let id = number.to_string();
        soon(publish(&client, "orders.new", &id)).await.unwrap();
    }
    let mut done = 0;
    let mut waited = Duration::ZERO;
    while done < COUNT {
        let mut consumer = client.consume(&source("orders"), 16);
        // So many that it has just asked for more.
        for _ in 0..10.min(COUNT - done) {
            let before = Instant::now();
            let settle = next(&mut consumer).await.settle;
            waited = waited.max(before.elapsed());
            soon(settle.settle(Verdict::Done)).await.unwrap();
            done += 1;
        }
        soon(consumer.close()).await;
    }
    assert!(waited < Duration::from_secs(5), "waited {waited:?}");
}

#[tokio::test]
async fn a_long_delivery_is_not_given_out_twice() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let short = json!({ "ack_wait": 3_000_000_000_u64, "max_deliver": -1 });
    make_consumer(&server, "orders", "handler", short).await;
    let mut consumer = client.consume(&source("orders"), 4);
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    let first = next(&mut consumer).await;
    let again = tokio::time::timeout(Duration::from_secs(7), consumer.next()).await;
    assert!(again.is_err());
    soon(first.settle.settle(Verdict::Done)).await.unwrap();
    assert_eq!(stored(&server, "orders").await, 0);
}

/// As when the client is killed between the copy and the ack: the copy is stored, and no ack gets through.
#[tokio::test]
async fn what_was_copied_and_not_acked_comes_twice_and_is_not_lost() {
    const DENIED: &str = "authorization { users: [
        { user: me, password: pw, permissions: { publish: { deny: \"$JS.ACK.orders.>\" } } } ] }";
    const ALLOWED: &str = "authorization { users: [ { user: me, password: pw } ] }";
    let mut server = NatsServer::with(ALLOWED);
    let url = format!("nats://me:pw@{}", server.host());
    let config = format!("{ORDERS}\n[streams.other]\nsubjects = [\"other\"]");
    let client = super::client(&url, &config);
    until("it is connected", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    soon(client.close()).await;
    server.configure(DENIED);
    server.again();
    let client = super::client(&url, &config);
    let mut consumer = client.consume(&source("orders"), 4);
    let first = next(&mut consumer).await;
    let settling = tokio::spawn(first.settle.settle(Verdict::Retry { step: 0 }));
    let copy = next(&mut consumer).await;
    assert_eq!((&*copy.message.id, copy.attempt), ("1", 2));
    settling.abort();
    drop((consumer, copy));
    soon(client.close()).await;
    server.configure(ALLOWED);
    server.again();
    let client = super::client(&url, &config);
    let mut consumer = client.consume(&source("orders"), 4);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let delivery = tokio::time::timeout(Duration::from_secs(45), consumer.next());
        let delivery = delivery.await.expect("the original and its copy");
        seen.push((delivery.message.id.clone(), delivery.attempt));
        // The copy of the original's second failure is the one that there was.
        soon(delivery.settle.settle(if delivery.attempt == 1 {
            Verdict::Retry { step: 0 }
        } else {
            Verdict::Done
        }))
        .await
        .unwrap();
    }
    seen.sort();
    assert_eq!(seen, [("1".to_owned(), 1), ("1".to_owned(), 2)]);
    assert!(nothing_comes(&mut consumer).await);
}

#[tokio::test]
async fn a_verdict_survives_a_restart_of_the_server() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let mut consumer = client.consume(&source("orders"), 4);
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    let delivery = next(&mut consumer).await;
    server.kill();
    let settling = tokio::spawn(delivery.settle.settle(Verdict::Done));
    server.again();
    soon(settling).await.unwrap().unwrap();
    assert_eq!(stored(&server, "orders").await, 0);
    soon(publish(&client, "orders.new", "2")).await.ok();
    until("it is connected again", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "2")).await.unwrap();
    // A server that has just started may give the first one out once more before it hears what became of it.
    let mut delivery = next(&mut consumer).await;
    if delivery.message.id == "1" {
        soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
        delivery = next(&mut consumer).await;
    }
    assert_eq!(delivery.message.id, "2");
}

#[tokio::test]
async fn each_consumer_gets_its_share_and_what_fails_in_one_stays_there() {
    let server = NatsServer::start();
    let config = "
        [streams.orders]
        subjects = [\"orders.>\"]
        retry.delays = [\"1s\"]
    ";
    let client = connected(&server, config).await;
    let of = |consumer: &str, subject: &str| Source::Stream {
        stream: "orders".to_owned(),
        subject: Some(subject.to_owned()),
        consumer: consumer.to_owned(),
    };
    let mut billing = client.consume(&of("billing", "orders.paid"), 4);
    let mut all = client.consume(&of("all", "orders.>"), 4);
    soon(publish(&client, "orders.new", "1")).await.unwrap();
    soon(publish(&client, "orders.paid", "2")).await.unwrap();
    let paid = next(&mut billing).await;
    assert_eq!(paid.message.id, "2");
    soon(paid.settle.settle(Verdict::Retry { step: 0 }))
        .await
        .unwrap();
    for id in ["1", "2"] {
        let delivery = next(&mut all).await;
        assert_eq!(delivery.message.id, id);
        soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    }
    let again = next(&mut billing).await;
    assert_eq!((&*again.message.id, again.attempt), ("2", 2));
    soon(again.settle.settle(Verdict::Done)).await.unwrap();
    assert!(nothing_comes(&mut all).await);
}

/// The library ends the connection at such a message: it would at each delivery.
#[tokio::test]
async fn a_message_with_headers_that_cannot_be_read_is_buried_and_others_come() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let raw: [&[u8]; 3] = [
        b"NATS/1.0\r\nName: M\xfcller\r\n\r\n",
        b"NATS/1.0\r\nName: a\rb\r\n\r\n",
        b"NATS/1.0\r\nSome name: a\r\n\r\n",
    ];
    for headers in raw {
        server.send_raw("orders.new", headers, b"body");
    }
    server.send_raw("orders.new", b"NATS/1.0\r\nce-id: fine\r\n\r\n", b"body");
    assert_eq!(stored(&server, "orders").await, 4);
    let short = json!({ "ack_wait": 3_000_000_000_u64, "max_deliver": -1 });
    make_consumer(&server, "orders", "handler", short).await;
    let mut consumer = client.consume(&source("orders"), 16);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.id, "fine");
    soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    let letters = soon(client.dead_letters(&source("orders"), 9))
        .await
        .unwrap();
    let told: Vec<(&str, &[u8])> = letters
        .iter()
        .map(|letter| (&*letter.reason, &*letter.message.body))
        .collect();
    assert_eq!(told, [("unreadable_headers", &b"body"[..]); 3]);
    assert_eq!(stored(&server, "orders").await, 0);
}
