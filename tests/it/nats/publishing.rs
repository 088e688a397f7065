//! What becomes of a message that is published.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::poll;
use futures_util::stream::{self, StreamExt};
use outrigger::broker::{Destination, Message, Refusal, Verdict};
use serde_json::Value;

use super::{ask, client, connected, message, next, publish, soon, source, stored, until};
use crate::support::{NatsServer, SOON};

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

/// Ids of events are those of one source.
#[tokio::test]
async fn an_id_is_a_duplicate_of_its_source_and_no_other() {
    let server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let mut duplicates = Vec::new();
    for source in ["/shop", "/shop", "/store"] {
        let mut event = message("7");
        event.headers = vec![("ce-source".to_owned(), source.to_owned())];
        let to = Destination::Subject("orders.new".to_owned());
        duplicates.push(soon(client.publish(to, event)).await.unwrap().duplicate);
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
    assert!(matches!(unfit, Refusal::TooLarge(_)), "{unfit:?}");
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
    assert!(before.elapsed() < Duration::from_secs(1));
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
    let mut publishing = publish(&client, "orders.new", "1");
    assert!(poll!(&mut publishing).is_pending());
    let before = Instant::now();
    server.kill();
    let refusal = soon(publishing).await.unwrap_err();
    assert!(before.elapsed() < SOON);
    assert!(matches!(refusal, Refusal::Unknown(_)), "{refusal:?}");
    server.again();
    until("it is connected again", || client.state().is_connected()).await;
    soon(publish(&client, "orders.new", "2")).await.unwrap();
    assert_eq!(stored(&server, "orders").await, 1);
}

#[tokio::test]
async fn what_was_confirmed_is_there_however_often_the_server_was_killed() {
    let mut server = NatsServer::start();
    let client = connected(&server, ORDERS).await;
    let confirmed = RefCell::new(HashSet::new());
    let is_done = Cell::new(false);
    let publishing = stream::iter(0_u32..)
        .take_while(|_| std::future::ready(!is_done.get()))
        .for_each_concurrent(16, async |number| {
            let id = number.to_string();
            match publish(&client, "orders.new", &id).await {
                Ok(_) => {
                    confirmed.borrow_mut().insert(id);
                }
                Err(Refusal::Unknown(_)) => {}
                Err(Refusal::Unavailable(_)) => {
                    until("it is connected again", || client.state().is_connected()).await;
                }
                Err(other) => panic!("{id}: {other:?}"),
            }
        });
    let killing = async {
        for round in 1..=3 {
            until("more are confirmed", || {
                confirmed.borrow().len() > 500 * round
            })
            .await;
            if round < 3 {
                server.kill();
                server.again();
            }
        }
        is_done.set(true);
    };
    tokio::join!(publishing, killing);
    let mut consumer = client.consume(&source("orders"), 100);
    let mut missing = confirmed.into_inner();
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
    let publishing = publish(&client, "orders.new", "1");
    let (published, ()) = soon(async { tokio::join!(publishing, client.close()) }).await;
    published.unwrap();
    let refusal = soon(publish(&client, "orders.new", "2")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    assert!(!client.state().is_connected());
    assert_eq!(stored(&server, "orders").await, 1);
}

#[tokio::test]
async fn a_client_that_was_never_connected_refuses_and_can_be_closed() {
    let client = client("nats://127.0.0.1:1", ORDERS);
    let refusal = soon(publish(&client, "orders.new", "1")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
    soon(client.close()).await;
}
