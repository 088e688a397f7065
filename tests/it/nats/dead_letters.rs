//! Dead letters, looked at, replayed and discarded.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outrigger::broker::{Client, Consumer, Verdict};

use super::{connected, next, nothing_comes, publish, soon, source, stored};
use crate::support::NatsServer;

const ORDERS: &str = "
    [streams.orders]
    subjects = [\"orders.>\"]
";

/// A client and a consumer, and so many dead letters, with ids from 0.
async fn buried(server: &NatsServer, count: u32) -> (Arc<dyn Client>, Box<dyn Consumer>) {
    let client = connected(server, ORDERS).await;
    let mut consumer = client.consume(&source("orders"), 4);
    for id in 0..count {
        soon(publish(&client, "orders.new", &id.to_string()))
            .await
            .unwrap();
        let delivery = next(&mut consumer).await;
        let reason = "status_400".to_owned();
        soon(delivery.settle.settle(Verdict::DeadLetter { reason }))
            .await
            .unwrap();
    }
    (client, consumer)
}

#[tokio::test]
async fn dead_letters_are_shown_and_stay_where_they_are() {
    let server = NatsServer::start();
    let (client, _consumer) = buried(&server, 3).await;
    assert!(client.keeps_dead_letters(&source("orders")));
    for _ in 0..2 {
        let letters = soon(client.dead_letters(&source("orders"), 2))
            .await
            .unwrap();
        let ids: Vec<&str> = letters.iter().map(|letter| &*letter.message.id).collect();
        assert_eq!(ids, ["0", "1"]);
        assert_eq!(letters[0].message, super::message("0"));
        assert_eq!(
            (letters[0].attempts, &*letters[0].reason),
            (1, "status_400")
        );
        let age = SystemTime::now().duration_since(letters[0].since.unwrap());
        assert!(age.unwrap() < Duration::from_secs(60));
    }
    assert_eq!(stored(&server, "orders-dlq").await, 3);
}

#[tokio::test]
async fn what_is_replayed_comes_as_if_it_were_new_and_can_be_buried_again() {
    let server = NatsServer::start();
    let (client, mut consumer) = buried(&server, 3).await;
    for _ in 0..2 {
        let replayed = soon(client.replay(&source("orders"), 2)).await.unwrap();
        assert_eq!(replayed, 2);
        assert_eq!(stored(&server, "orders-dlq").await, 1);
        for _ in 0..2 {
            let delivery = next(&mut consumer).await;
            assert_eq!(delivery.attempt, 1);
            assert_eq!(delivery.key.as_deref(), Some("orders.new"));
            let reason = "again".to_owned();
            soon(delivery.settle.settle(Verdict::DeadLetter { reason }))
                .await
                .unwrap();
        }
        assert_eq!(stored(&server, "orders-dlq").await, 3);
    }
    assert!(nothing_comes(&mut consumer).await);
}

#[tokio::test]
async fn what_is_discarded_is_gone() {
    let server = NatsServer::start();
    let (client, mut consumer) = buried(&server, 3).await;
    assert_eq!(soon(client.discard(&source("orders"), 2)).await, Ok(2));
    let letters = soon(client.dead_letters(&source("orders"), 9))
        .await
        .unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].message.id, "2");
    assert_eq!(soon(client.discard(&source("orders"), 9)).await, Ok(1));
    assert_eq!(soon(client.replay(&source("orders"), 9)).await, Ok(0));
    assert!(nothing_comes(&mut consumer).await);
}
