//! What becomes of a message that is published.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use outrigger::broker::{Destination, Message, Refusal, Verdict};
use tokio::time::Instant;

use super::{
    Node, client, from, message, name, next, next_settled, publish, queue_block, to, until,
    until_waiting,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirmed_message_comes_as_it_was_published() {
    let (exchange, queue) = (name("exchange"), name("queue"));
    let block = format!(
        "[exchanges.{exchange}]\n[queues.{queue}]\nbind = [{{ exchange = {exchange:?}, key = \"order.#\" }}]"
    );
    let client = Node::shared().client(&block).await;
    assert_eq!(client.state().mismatches, []);
    let sent = Message {
        id: "m1".to_owned(),
        content_type: Some("application/json".to_owned()),
        headers: vec![
            ("ce-id".to_owned(), "e1".to_owned()),
            ("ce-type".to_owned(), "order.paid".to_owned()),
            ("x-tenant".to_owned(), "acme".to_owned()),
            ("content-encoding".to_owned(), "gzip".to_owned()),
        ],
        body: Bytes::from(vec![7; 300_000]),
    };
    let destination = Destination::Exchange {
        exchange,
        routing_key: "order.paid".to_owned(),
    };
    publish(&client, destination, sent.clone()).await.unwrap();
    until_waiting(&client, &queue, 1).await;
    let mut consumer = client.consume(&from(&queue), 4);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message, sent);
    assert_eq!((delivery.attempt, delivery.redelivered), (1, false));
    assert_eq!(delivery.key.as_deref(), Some("order.paid"));
    delivery.settle.settle(Verdict::Done).await.unwrap();
    consumer.close().await;
    until_waiting(&client, &queue, 0).await;
    client.close().await;
    let refused = publish(&client, to(&queue), message("late")).await;
    assert!(
        matches!(refused, Err(Refusal::Unavailable(_))),
        "{refused:?}"
    );
}

/// One that closes a channel takes no confirm of another along, and what comes back is told of its own message: the broker
/// confirms many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_under_way_is_told_its_own_fate() {
    let queue = name("queue");
    let client = Node::shared().client(&queue_block(&queue, "")).await;
    let missing = name("missing");
    let publishing = (0..600_u32).map(|number| {
        let (client, queue, missing) = (client.clone(), queue.clone(), missing.clone());
        async move {
            let message = message(&number.to_string());
            match number % 3 {
                0 => {
                    let said = publish(&client, to(&queue), message).await;
                    assert_eq!(said, Ok(()), "{number}");
                }
                1 => match publish(&client, to(&missing), message).await {
                    Err(Refusal::Unroutable(why)) => assert!(why.contains("no queue"), "{why}"),
                    other => panic!("{number}: {other:?}"),
                },
                _ => {
                    let to = Destination::Exchange {
                        exchange: missing,
                        routing_key: queue,
                    };
                    match publish(&client, to, message).await {
                        Err(Refusal::Unroutable(why)) => {
                            assert!(why.contains("no exchange"), "{why}");
                        }
                        other => panic!("{number}: {other:?}"),
                    }
                }
            }
        }
    });
    let told = publishing.map(tokio::spawn);
    let mut told = futures_util::stream::iter(told).buffer_unordered(100);
    while let Some(told) = told.next().await {
        told.unwrap();
    }
    until_waiting(&client, &queue, 200).await;
    let mut consumer = client.consume(&from(&queue), 50);
    for _ in 0..200 {
        let delivery = next(&mut consumer).await;
        let number: u32 = delivery.message.id.parse().unwrap();
        assert_eq!(number % 3, 0);
        delivery.settle.settle(Verdict::Done).await.unwrap();
    }
    consumer.close().await;
    client.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_others_go_on() {
    let (full, other) = (name("full"), name("other"));
    let block = queue_block(&full, "max_length = 3\nkind = \"classic\"") + &queue_block(&other, "");
    let client = Node::shared().client(&block).await;
    for id in ["1", "2", "3"] {
        publish(&client, to(&full), message(id)).await.unwrap();
    }
    let refused = publish(&client, to(&full), message("4")).await;
    assert!(matches!(refused, Err(Refusal::Rejected(_))), "{refused:?}");
    publish(&client, to(&other), message("4")).await.unwrap();
    until_waiting(&client, &full, 3).await;
    client.close().await;
}

/// The broker refuses it as a whole although the other queue has it: a repeat doubles it there, under its id.
#[tokio::test]
async fn what_one_of_two_queues_refuses_is_refused() {
    let (exchange, full, other) = (name("fanout"), name("full"), name("other"));
    let bind = format!("bind = [{{ exchange = {exchange:?} }}]\n");
    let block = format!("[exchanges.{exchange}]\ntype = \"fanout\"\n")
        + &queue_block(&full, &format!("{bind}max_length = 1\nkind = \"classic\""))
        + &queue_block(&other, &bind);
    let client = Node::shared().client(&block).await;
    assert_eq!(client.state().mismatches, []);
    let everywhere = || Destination::Exchange {
        exchange: exchange.clone(),
        routing_key: String::new(),
    };
    publish(&client, everywhere(), message("1")).await.unwrap();
    for _ in 0..2 {
        let refused = publish(&client, everywhere(), message("2")).await;
        assert!(matches!(refused, Err(Refusal::Rejected(_))), "{refused:?}");
    }
    until_waiting(&client, &full, 1).await;
    until_waiting(&client, &other, 3).await;
    let mut consumer = client.consume(&from(&other), 3);
    for expected in ["1", "2", "2"] {
        assert_eq!(next_settled(&mut consumer, Verdict::Done).await.0, expected);
    }
    client.close().await;
}

#[tokio::test]
async fn who_is_not_let_in_says_so_at_once_and_tells_no_secret() {
    let url = Node::shared().url().replace("guest:guest", "guest:hush");
    let refused = client(&url, "");
    until("the login was refused", || {
        format!("{:?}", refused.state()).contains("refused the login")
    })
    .await;
    let begun = Instant::now();
    match publish(&refused, to("any"), message("1")).await {
        Err(Refusal::Unavailable(why)) => assert!(why.contains("refused the login"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < Duration::from_millis(200));
    assert!(!format!("{:?}", refused.state()).contains("hush"));

    let elsewhere = client(&format!("{}/hush", Node::shared().url()), "");
    until("the virtual host is unknown", || {
        format!("{:?}", elsewhere.state()).contains("the virtual host")
    })
    .await;
    assert!(!format!("{:?}", elsewhere.state()).contains("hush"));
}

#[tokio::test]
async fn headers_give_the_broker_no_orders_and_break_no_connection() {
    let (queue, elsewhere) = (name("queue"), name("elsewhere"));
    let block = queue_block(&queue, "") + &queue_block(&elsewhere, "");
    let client = Node::shared().client(&block).await;
    for header in [
        "CC",
        "bcc",
        "x-death",
        "x-delivery-count",
        "outrigger-attempt",
    ] {
        let mut ordering = message("1");
        ordering.headers = vec![(header.to_owned(), elsewhere.clone())];
        let refused = publish(&client, to("nowhere"), ordering).await;
        assert!(
            matches!(refused, Err(Refusal::Unfit(_))),
            "{header}: {refused:?}"
        );
    }
    let mut long = message("1");
    long.headers = vec![("long".to_owned(), "x".repeat(200_000))];
    let refused = publish(&client, to(&queue), long).await;
    assert!(matches!(refused, Err(Refusal::TooLarge(_))), "{refused:?}");
    let mut nearly = message("2");
    nearly.headers = vec![("long".to_owned(), "x".repeat(120_000))];
    publish(&client, to(&queue), nearly).await.unwrap();
    until_waiting(&client, &queue, 1).await;
    until_waiting(&client, &elsewhere, 0).await;
    client.close().await;
}

#[tokio::test]
async fn a_message_is_stored_on_disk() {
    let queue = name("queue");
    let node = Node::shared();
    let client = node
        .client(&queue_block(&queue, "kind = \"classic\""))
        .await;
    publish(&client, to(&queue), message("1")).await.unwrap();
    let stranger = node.stranger().await;
    let options = lapin::options::BasicGetOptions { no_ack: true };
    let got = stranger.basic_get(queue.as_str().into(), options).await;
    let got = got.unwrap().unwrap();
    assert_eq!(*got.properties.delivery_mode(), Some(2));
    let declared = QueueDeclareOptions::durable();
    let passive = declared.passive();
    let there = stranger.queue_declare(queue.as_str().into(), passive, FieldTable::default());
    assert_eq!(there.await.unwrap().message_count(), 0);
    client.close().await;
}
