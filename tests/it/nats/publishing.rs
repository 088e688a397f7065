//! What becomes of a message that is published.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use outrigger::broker::{Destination, Message, Refusal, Verdict};
use serde_json::{Value, json};

use super::{ask, client, connected, message, next, publish, soon, source, stored, until};
use crate::support::NatsServer;

const ORDERS: &str = "streams.orders.subjects = [\"orders.>\"]";

#[tokio::test]
async fn a_message_that_is_confirmed_comes_to_a_consumer_as_it_was() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let sent = Message {
        headers: vec![
            ("ce-id".to_owned(), "7".to_owned()),
            ("ce-type".to_owned(), "order.new".to_owned()),
            ("x-umlaut".to_owned(), "ä".to_owned()),
        ],
        body: Bytes::from(vec![0, 1, 255, b'\r', b'\n']),
        ..message("m-1")
    };
    let to = Destination::Subject("orders.new".to_owned());
    let confirmed = soon(client.publish(to, sent.clone())).await.unwrap();
    assert!(!confirmed.duplicate);
    let mut consumer = client.consume(&source("orders"), 4);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, sent);
    assert_eq!((delivery.attempt, delivery.redelivered), (1, false));
    assert_eq!(delivery.key.as_deref(), Some("orders.new"));
    soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    assert_eq!(soon(client.waiting(&source("orders"))).await, Some(0));
}

#[tokio::test]
async fn an_id_is_a_duplicate_on_its_subject_and_no_other() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let mut duplicates = Vec::new();
    for subject in ["orders.new", "orders.new", "orders.paid"] {
        let confirmed = soon(publish(&client, subject, "m-1")).await.unwrap();
        duplicates.push(confirmed.duplicate);
    }
    assert_eq!(duplicates, [false, true, false]);
    assert_eq!(stored(&server, "orders").await, 2);
}

/// The confirmation of a duplicate says nothing of what is stored: the message has gone, its id has not.
#[tokio::test]
async fn a_duplicate_is_no_proof_that_the_message_is_there() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    soon(publish(&client, "orders.new", "m-1")).await.unwrap();
    ask(&server, "STREAM.PURGE.orders", Value::Null).await;
    let confirmed = soon(publish(&client, "orders.new", "m-1")).await.unwrap();
    assert!(confirmed.duplicate);
    assert_eq!(stored(&server, "orders").await, 0);
}

#[tokio::test]
async fn each_refusal_has_its_reason_and_others_go_on() {
    let server = NatsServer::with("max_payload: 65536");
    let config = "
        streams.orders.subjects = [\"orders.>\"]
        [streams.small]
        subjects = [\"small\"]
        retention = \"work-queue\"
        max_messages = 1
    ";
    let client = connected(&server, config).await;
    let refused = async |subject: &str, message: Message| {
        let to = Destination::Subject(subject.to_owned());
        soon(client.publish(to, message)).await.unwrap_err()
    };
    let nowhere = refused("nowhere", message("1")).await;
    assert!(matches!(nowhere, Refusal::Unroutable(_)), "{nowhere:?}");
    soon(publish(&client, "small", "1")).await.unwrap();
    let full = refused("small", message("2")).await;
    assert!(matches!(full, Refusal::Rejected(_)), "{full:?}");
    for subject in [
        "orders.a b",
        "orders.*",
        "orders.>",
        "orders..a",
        "$JS.API.INFO",
        "",
    ] {
        let unfit = refused(subject, message("3")).await;
        assert!(matches!(unfit, Refusal::Unfit(_)), "{subject}: {unfit:?}");
    }
    let large = Message {
        body: Bytes::from(vec![b'a'; 65536]),
        ..message("4")
    };
    let unfit = refused("orders.new", large).await;
    assert!(matches!(unfit, Refusal::Unfit(_)), "{unfit:?}");
    for name in ["nats-rollup", "nats-msg-id", "outrigger-attempt"] {
        let ordering = Message {
            headers: vec![(name.to_owned(), "all".to_owned())],
            ..message("5")
        };
        let unfit = refused("orders.new", ordering).await;
        assert!(matches!(unfit, Refusal::Unfit(_)), "{name}: {unfit:?}");
    }
    let to = Destination::Exchange {
        exchange: "orders".to_owned(),
        routing_key: "new".to_owned(),
    };
    let unfit = soon(client.publish(to, message("6"))).await.unwrap_err();
    assert!(matches!(unfit, Refusal::Unfit(_)), "{unfit:?}");
    soon(publish(&client, "orders.new", "7")).await.unwrap();
}

#[tokio::test]
async fn what_the_login_does_not_permit_is_refused_at_once() {
    let server = NatsServer::with(
        "authorization { users: [
            { user: me, password: pw, permissions: { publish: { deny: \"orders.secret\" } } } ] }",
    );
    let client = client(&format!("nats://me:pw@{}", server.host()), ORDERS);
    until("it is connected", || client.state().is_connected()).await;
    let refusal = soon(publish(&client, "orders.secret", "1"))
        .await
        .unwrap_err();
    assert!(matches!(refusal, Refusal::Rejected(_)), "{refusal:?}");
    soon(publish(&client, "orders.new", "2")).await.unwrap();
}

#[tokio::test]
async fn without_a_connection_a_message_is_refused_at_once() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    server.kill();
    until("the connection is lost", || !client.state().is_connected()).await;
    let before = Instant::now();
    let refusal = soon(publish(&client, "orders.new", "1")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    assert!(before.elapsed() < Duration::from_millis(100));
    server.again();
    until("it is connected again", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "2")).await.unwrap();
    assert_eq!(stored(&server, "orders").await, 1);
}

/// A message under way when the connection ends is unknown at once, and is not sent behind the caller's back when there
/// is another connection.
#[tokio::test]
async fn what_is_under_way_when_the_server_dies_is_unknown_at_once() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    server.freeze(true);
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { publish(&client, "orders.new", "1").await }
    });
    tokio::task::yield_now().await;
    let before = Instant::now();
    server.kill();
    let refusal = soon(publishing).await.unwrap().unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(2));
    assert!(
        matches!(refusal, Refusal::Unknown(_) | Refusal::Unavailable(_)),
        "{refusal:?}"
    );
    server.again();
    until("it is connected again", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "2")).await.unwrap();
    assert_eq!(stored(&server, "orders").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_is_there_however_often_the_server_was_killed() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let publishing = stream::iter(0..)
        .take_while(|_| std::future::ready(!done.load(std::sync::atomic::Ordering::Relaxed)))
        .map(|number: u32| {
            let client = client.clone();
            async move {
                let id = number.to_string();
                let confirmed = publish(&client, "orders.new", &id).await;
                if matches!(confirmed, Err(Refusal::Unavailable(_))) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                (id, confirmed)
            }
        })
        .buffer_unordered(16)
        .collect::<Vec<_>>();
    let killing = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tokio::task::yield_now().await;
            server.kill();
            server.again();
            until("it is connected again", || client.state().is_connected()).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (published, ()) = soon(async { tokio::join!(publishing, killing) }).await;
    let confirmed: HashSet<String> = published
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(id, _)| id.clone())
        .collect();
    assert!(confirmed.len() > 100, "{} were confirmed", confirmed.len());
    for (id, result) in &published {
        let fits = matches!(
            result,
            Ok(_) | Err(Refusal::Unknown(_) | Refusal::Unavailable(_))
        );
        assert!(fits, "{id}: {result:?}");
    }
    let mut consumer = client.consume(&source("orders"), 100);
    let mut missing = confirmed;
    while !missing.is_empty() {
        let delivery = next(&mut consumer).await;
        missing.remove(&delivery.message.id);
        soon(delivery.settle.settle(Verdict::Done)).await.unwrap();
    }
}

#[tokio::test]
async fn closing_waits_for_what_is_published_and_nothing_works_afterwards() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { publish(&client, "orders.new", "1").await }
    });
    until("it is under way", || {
        // The task has begun once the runtime has let it.
        publishing.is_finished() || std::sync::Arc::strong_count(&client) > 1
    })
    .await;
    soon(client.close()).await;
    let refusal = soon(publish(&client, "orders.new", "2")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    assert!(!client.state().is_connected());
    let info = ask(&server, "STREAM.INFO.orders", json!(null)).await;
    let confirmed = soon(publishing).await.unwrap().is_ok();
    assert_eq!(
        info["state"]["messages"].as_u64(),
        Some(u64::from(confirmed))
    );
}

#[tokio::test]
async fn a_client_that_was_never_connected_refuses_and_can_be_closed() {
    let client = client("nats://127.0.0.1:1", ORDERS);
    let refusal = soon(publish(&client, "orders.new", "1")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    soon(client.close()).await;
}
