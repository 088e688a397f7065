//! Looking at dead letters, putting them back and deleting them.

use lapin::BasicProperties;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, BasicPublishOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use outrigger::broker::{DeadLetter, Verdict};

use super::{
    Node, from, message, name, next, next_settled, publish, publish_all, queue_block, to,
    until_waiting,
};

fn ids(letters: &[DeadLetter]) -> Vec<&str> {
    let ids = letters.iter().map(|letter| letter.message.id.as_str());
    ids.collect()
}

#[tokio::test]
async fn letters_stay_in_order_until_they_are_replayed_or_deleted() {
    for kind in ["quorum", "classic"] {
        let queue = name("work");
        let block = queue_block(&queue, &format!("kind = {kind:?}"));
        let client = Node::shared().client(&block).await;
        let source = from(&queue);
        publish_all(&client, &queue, 1..=5).await;
        let mut consumer = client.consume(&source, 1);
        for number in 1..=5 {
            let reason = format!("reason-{number}");
            next_settled(&mut consumer, Verdict::DeadLetter { reason }).await;
        }
        for _ in 0..2 {
            let letters = client.dead_letters(&source, 3).await.unwrap();
            assert_eq!(ids(&letters), ["1", "2", "3"], "{kind}");
            assert_eq!(letters[2].reason, "reason-3");
        }
        assert_eq!(client.replay(&source, 1).await, Ok(1));
        assert_eq!(
            next_settled(&mut consumer, Verdict::Done).await,
            ("1".to_owned(), 1)
        );
        assert_eq!(client.discard(&source, 2).await, Ok(2));
        let letters = client.dead_letters(&source, 10).await.unwrap();
        assert_eq!(ids(&letters), ["4", "5"], "{kind}");
        assert_eq!(client.discard(&source, 10).await, Ok(2));
        assert_eq!(client.replay(&source, 10).await, Ok(0));
        client.close().await;
    }
}

/// The broker gives up a message that was given out often; that is kept, and comes back when it is replayed, although the
/// broker notes on it where it was before.
#[tokio::test]
async fn what_the_broker_gives_up_is_kept_and_can_be_replayed() {
    let node = Node::shared();
    let queue = name("given-up");
    let pattern = format!("^{queue}$");
    let policy = ["set_policy", "--apply-to", "queues", &queue, &pattern];
    node.ctl(&[&policy[..], &["{\"delivery-limit\":1}"]].concat());
    let client = node.client(&queue_block(&queue, "")).await;
    publish(&client, to(&queue), message("1")).await.unwrap();
    let stranger = node.stranger().await;
    let back = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    let source = from(&queue);
    for replays in 0..2 {
        for _ in 0..2 {
            until_waiting(&client, &queue, 1).await;
            let options = BasicGetOptions::default();
            let got = stranger.basic_get(queue.as_str().into(), options).await;
            got.unwrap().unwrap().nack(back).await.unwrap();
        }
        until_waiting(&client, &format!("{queue}.dlq"), 1).await;
        let letters = client.dead_letters(&source, 10).await.unwrap();
        assert_eq!(ids(&letters), ["1"], "{replays}");
        assert_eq!(letters[0].reason, "delivery_limit");
        assert_eq!(client.replay(&source, 10).await, Ok(1));
    }
    let mut consumer = client.consume(&source, 1);
    let delivery = next(&mut consumer).await;
    assert_eq!((delivery.message, delivery.attempt), (message("1"), 1));
    client.close().await;
    node.ctl(&["clear_policy", &queue]);
}

/// To look takes a letter and gives it back, which a limit on deliveries counts.
#[tokio::test]
async fn letters_do_not_wear_out_by_being_looked_at() {
    let node = Node::shared();
    let queue = name("looked-at");
    let pattern = format!("^{queue}");
    let policy = ["set_policy", "--apply-to", "queues", &queue, &pattern];
    node.ctl(&[&policy[..], &["{\"delivery-limit\":10}"]].concat());
    let client = node.client(&queue_block(&queue, "")).await;
    let source = from(&queue);
    publish_all(&client, &queue, 1..=2).await;
    let mut consumer = client.consume(&source, 1);
    for _ in 0..2 {
        let reason = "500".to_owned();
        next_settled(&mut consumer, Verdict::DeadLetter { reason }).await;
    }
    for _ in 0..25 {
        let mut letters = client.dead_letters(&source, 10).await.unwrap();
        letters.sort_by_key(|letter| letter.message.id.clone());
        assert_eq!(ids(&letters), ["1", "2"]);
        assert_eq!(
            (letters[0].reason.as_str(), letters[0].attempts),
            ("500", 1)
        );
        assert!(letters[0].since.is_some());
    }
    client.close().await;
    node.ctl(&["clear_policy", &queue]);
}

#[tokio::test]
async fn a_queue_without_dead_letters_has_none() {
    let queue = name("work");
    let block = queue_block(&queue, "dead_letter = false");
    let client = Node::shared().client(&block).await;
    let source = from(&queue);
    assert!(!client.keeps_dead_letters(&source));
    assert!(client.dead_letters(&source, 1).await.is_err());
    publish_all(&client, &queue, 1..=1).await;
    let mut consumer = client.consume(&source, 1);
    let reason = "400".to_owned();
    next_settled(&mut consumer, Verdict::DeadLetter { reason }).await;
    consumer.close().await;
    until_waiting(&client, &queue, 0).await;
    client.close().await;
}

/// By x-death the broker finds out that a message goes round in a circle, and drops it without a word: also one of which it
/// has noted that itself, and one of which somebody else says it.
#[tokio::test]
async fn what_is_replayed_climbs_the_ladder_whatever_is_said_of_its_deaths() {
    let node = Node::shared();
    let queue = name("circle");
    let client = node
        .client(&queue_block(&queue, "retry = { delays = [\"100ms\"] }"))
        .await;
    let stranger = node.stranger().await;
    let confirmed = ConfirmSelectOptions::default();
    stranger.confirm_select(confirmed).await.unwrap();
    // The broker believes it: this one is gone when it has waited.
    let (waiting, dead) = (format!("{queue}.retry.1"), format!("{queue}.dlq"));
    put(&stranger, &waiting, "gone", &queue).await;
    until_waiting(&client, &waiting, 0).await;
    put(&stranger, &dead, "replayed", &queue).await;
    until_waiting(&client, &dead, 1).await;
    let source = from(&queue);
    assert_eq!(client.replay(&source, 10).await, Ok(1));
    let mut consumer = client.consume(&source, 1);
    for (verdict, attempt) in [(Verdict::Retry { step: 0 }, 1), (Verdict::Done, 2)] {
        let settled = next_settled(&mut consumer, verdict).await;
        assert_eq!(settled, ("replayed".to_owned(), attempt));
    }
    assert_eq!(client.waiting(&source).await, Some(0));
    client.close().await;
}

/// Puts a message into a queue that says that it died in `work`.
async fn put(stranger: &lapin::Channel, queue: &str, id: &str, work: &str) {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut death = FieldTable::default();
    death.insert("count".into(), AMQPValue::LongLongInt(1));
    death.insert("exchange".into(), text(""));
    death.insert("queue".into(), text(work));
    death.insert("reason".into(), text("expired"));
    let keys = vec![text(work)];
    death.insert("routing-keys".into(), AMQPValue::FieldArray(keys.into()));
    death.insert("time".into(), AMQPValue::Timestamp(1));
    let mut headers = FieldTable::default();
    let deaths = vec![AMQPValue::FieldTable(death)];
    headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
    headers.insert("x-first-death-queue".into(), text(work));
    headers.insert("x-first-death-reason".into(), text("expired"));
    let properties = BasicProperties::default()
        .with_message_id(id.into())
        .with_headers(headers);
    let options = BasicPublishOptions::default();
    let sent = stranger.basic_publish("".into(), queue.into(), options, b"body", properties);
    sent.await.unwrap().await.unwrap();
}
