//! What the config names, and what the broker has of it.

use std::time::Duration;

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use outrigger::broker::Verdict;
use tokio::time::{Instant, timeout};

use super::{Node, from, message, name, next_settled, publish, queue_block, to};
use crate::support::LIMIT;

#[tokio::test]
async fn what_is_declared_otherwise_is_told_by_its_name_and_the_rest_goes_on() {
    let node = Node::shared();
    let (otherwise, other) = (name("a-otherwise"), name("b-other"));
    let stranger = node.stranger().await;
    stranger
        .queue_declare(
            otherwise.as_str().into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let block = queue_block(
        &otherwise,
        "bind = [{ exchange = \"nowhere\", key = \"a\" }]",
    ) + &queue_block(&other, "");
    let client = node.client(&block).await;
    let mismatches = client.state().mismatches;
    let whose: Vec<&str> = mismatches.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        whose,
        [format!("queues.{otherwise}"), format!("queues.{otherwise}")]
    );
    assert!(
        mismatches[0].1.contains("x-dead-letter-exchange"),
        "{mismatches:?}"
    );
    assert!(
        mismatches[1].1.contains("no exchange 'nowhere'"),
        "{mismatches:?}"
    );
    for queue in [&otherwise, &other] {
        publish(&client, to(queue), message("1")).await.unwrap();
        let mut consumer = client.consume(&from(queue), 1);
        let taken = next_settled(&mut consumer, Verdict::Done).await;
        assert_eq!(taken, ("1".to_owned(), 1));
        consumer.close().await;
    }
    client.close().await;
}

/// A full queue of dead letters loses them without a word (RabbitMQ 3.10.8), so one with a limit is not taken for ours.
#[tokio::test]
async fn dead_letters_with_a_limit_are_a_mismatch() {
    let node = Node::shared();
    let queue = name("queue");
    let stranger = node.stranger().await;
    let mut limited = FieldTable::default();
    limited.insert("x-max-length".into(), 1.into());
    let letters = format!("{queue}.dlq");
    let options = QueueDeclareOptions::durable();
    let declared = stranger.queue_declare(letters.as_str().into(), options, limited);
    declared.await.unwrap();
    let client = node.client(&queue_block(&queue, "")).await;
    let mismatches = client.state().mismatches;
    assert!(
        mismatches
            .iter()
            .any(|(name, why)| *name == format!("queues.{queue}") && why.contains(&letters)),
        "{mismatches:?}"
    );
    client.close().await;
}

#[tokio::test]
async fn a_queue_that_is_deleted_is_declared_anew_and_consumed_again() {
    let node = Node::shared();
    let queue = name("queue");
    let client = node.client(&queue_block(&queue, "")).await;
    let mut consumer = client.consume(&from(&queue), 1);
    publish(&client, to(&queue), message("1")).await.unwrap();
    next_settled(&mut consumer, Verdict::Done).await;
    assert_eq!(consumer.trouble(), None);
    let stranger = node.stranger().await;
    let deleted = stranger.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
    let publishing = async {
        loop {
            if publish(&client, to(&queue), message("2")).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (taken, ()) = tokio::join!(next_settled(&mut consumer, Verdict::Done), publishing);
    assert_eq!(taken.0, "2");
    assert_eq!(consumer.trouble(), None);
    client.close().await;
}

#[tokio::test]
async fn a_queue_that_nobody_declares_is_a_trouble_of_its_own() {
    let client = Node::shared().client("").await;
    let queue = name("nobodys");
    let mut consumer = client.consume(&from(&queue), 1);
    let end = Instant::now() + LIMIT;
    loop {
        let waiting = timeout(Duration::from_millis(20), consumer.next());
        assert!(waiting.await.is_err());
        let trouble = consumer.trouble().unwrap();
        if trouble.contains("no queue") {
            assert!(trouble.contains(&queue), "{trouble}");
            break;
        }
        assert!(Instant::now() < end, "{trouble}");
    }
    assert_eq!(client.waiting(&from(&queue)).await, None);
    assert!(client.state().is_connected());
    client.close().await;
}
