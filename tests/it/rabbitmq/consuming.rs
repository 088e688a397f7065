//! What becomes of a message that is taken.

use std::collections::BTreeMap;
use std::time::Duration;

use outrigger::broker::Verdict;
use tokio::time::Instant;

use super::{
    Node, from, message, name, next, next_settled, nothing_comes, publish, publish_all,
    queue_block, to, until_waiting,
};

/// Through all steps of its ladder, each in its time, to the dead letters and back.
#[tokio::test]
async fn a_poison_message_climbs_its_ladder_in_time_and_is_replayed() {
    for kind in ["quorum", "classic"] {
        let queue = name("work");
        let delays = [Duration::from_secs(1), Duration::from_secs(3)];
        let block = format!("kind = {kind:?}\nretry = {{ delays = [\"1s\", \"3s\"] }}");
        let client = Node::shared().client(&queue_block(&queue, &block)).await;
        assert_eq!(client.state().mismatches, []);
        assert_eq!(client.ladder(&from(&queue)).delays.len(), 2);
        let mut poison = message("poison");
        poison.headers = vec![("ce-type".to_owned(), "a".to_owned())];
        publish(&client, to(&queue), poison.clone()).await.unwrap();
        let mut consumer = client.consume(&from(&queue), 4);
        for (step, delay) in delays.into_iter().enumerate() {
            let taken = next_settled(&mut consumer, Verdict::Retry { step }).await;
            assert_eq!(taken.1 as usize, step + 1);
            let begun = Instant::now();
            let again = next(&mut consumer).await;
            let waited = begun.elapsed();
            let tolerance = delay / 10 + Duration::from_millis(50);
            assert!(
                waited.abs_diff(delay) <= tolerance,
                "{kind}: waited {waited:?} for {delay:?}"
            );
            assert_eq!(again.message, poison);
            assert_eq!(again.attempt as usize, step + 2);
            drop(again);
        }
        let reason = "503".to_owned();
        let taken = next_settled(&mut consumer, Verdict::DeadLetter { reason }).await;
        assert_eq!(taken, ("poison".to_owned(), 3));
        nothing_comes(&mut consumer).await;
        let letters = client.dead_letters(&from(&queue), 10).await.unwrap();
        assert_eq!(letters.len(), 1);
        assert_eq!(letters[0].message, poison);
        assert_eq!(
            (letters[0].reason.as_str(), letters[0].attempts),
            ("503", 3)
        );
        assert!(letters[0].since.unwrap().elapsed().unwrap() < Duration::from_secs(20));
        assert_eq!(client.replay(&from(&queue), 10).await, Ok(1));
        let again = next(&mut consumer).await;
        assert_eq!((&again.message, again.attempt), (&poison, 1));
        again.settle.settle(Verdict::Done).await.unwrap();
        consumer.close().await;
        client.close().await;
    }
}

#[tokio::test]
async fn what_is_returned_or_dropped_comes_again_uncounted() {
    let queue = name("work");
    let client = Node::shared().client(&queue_block(&queue, "")).await;
    publish_all(&client, &queue, 1..=1).await;
    let mut consumer = client.consume(&from(&queue), 1);
    for time in 0..4 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.attempt, 1);
        assert_eq!(delivery.redelivered, time > 0);
        if time % 2 == 0 {
            drop(delivery);
        } else {
            delivery.settle.settle(Verdict::Return).await.unwrap();
        }
    }
    next_settled(&mut consumer, Verdict::Done).await;
    nothing_comes(&mut consumer).await;
    client.close().await;
}

/// Its first delivery may have been the one that failed: then there are two copies of it.
#[tokio::test]
async fn a_copy_of_what_came_again_says_so_until_it_is_replayed() {
    let queue = name("work");
    let block = queue_block(&queue, "retry = { delays = [\"100ms\", \"100ms\"] }");
    let client = Node::shared().client(&block).await;
    publish_all(&client, &queue, 1..=2).await;
    let mut consumer = client.consume(&from(&queue), 1);
    drop(next(&mut consumer).await);
    let mut seen = BTreeMap::new();
    for _ in 0..6 {
        let delivery = next(&mut consumer).await;
        seen.insert(
            (delivery.message.id.clone(), delivery.attempt),
            delivery.redelivered,
        );
        let verdict = match delivery.attempt {
            3 => Verdict::DeadLetter {
                reason: "status_503".to_owned(),
            },
            attempt => Verdict::Retry {
                step: attempt as usize - 1,
            },
        };
        delivery.settle.settle(verdict).await.unwrap();
    }
    let wanted = [("1", true), ("2", false)].into_iter();
    let wanted = wanted.flat_map(|(id, again)| (1..=3).map(move |n| ((id.to_owned(), n), again)));
    assert_eq!(seen, wanted.collect());
    assert_eq!(client.replay(&from(&queue), 2).await.unwrap(), 2);
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.attempt, delivery.redelivered), (1, false));
        delivery.settle.settle(Verdict::Done).await.unwrap();
    }
    client.close().await;
}

#[tokio::test]
async fn closing_hands_back_what_nobody_has_seen_and_leaves_what_is_in_flight() {
    let queue = name("work");
    let client = Node::shared().client(&queue_block(&queue, "")).await;
    publish_all(&client, &queue, 1..=9).await;
    let mut consumer = client.consume(&from(&queue), 6);
    let first = next(&mut consumer).await;
    assert_eq!(first.message.id, "1");
    consumer.close().await;
    until_waiting(&client, &queue, 8).await;
    let mut other = client.consume(&from(&queue), 20);
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(next_settled(&mut other, Verdict::Done).await.0);
    }
    others.sort();
    assert_eq!(others, ["2", "3", "4", "5", "6", "7", "8", "9"]);
    first.settle.settle(Verdict::Done).await.unwrap();
    nothing_comes(&mut other).await;
    other.close().await;
    until_waiting(&client, &queue, 0).await;
    client.close().await;
}

/// Whoever pauses finds the messages in their order again.
#[tokio::test]
async fn closing_with_nothing_in_flight_keeps_the_order() {
    for kind in ["quorum", "classic"] {
        let queue = name("work");
        let block = queue_block(&queue, &format!("kind = {kind:?}"));
        let client = Node::shared().client(&block).await;
        publish_all(&client, &queue, 1..=9).await;
        let mut taken = Vec::new();
        for ready in [4, 3, 2] {
            let mut consumer = client.consume(&from(&queue), 4);
            taken.push(next_settled(&mut consumer, Verdict::Done).await.0);
            // What is on its way when a channel ends, a quorum queue puts at its end.
            until_waiting(&client, &queue, ready).await;
            consumer.close().await;
        }
        let mut consumer = client.consume(&from(&queue), 4);
        for _ in 0..6 {
            taken.push(next_settled(&mut consumer, Verdict::Done).await.0);
        }
        assert_eq!(taken.join(" "), "1 2 3 4 5 6 7 8 9", "{kind}");
        client.close().await;
    }
}

/// A quorum queue puts at its end what is handed back by itself.
#[tokio::test]
async fn what_is_left_to_go_back_with_its_consumer_keeps_its_place() {
    for kind in ["quorum", "classic"] {
        let queue = name("work");
        let block = queue_block(&queue, &format!("kind = {kind:?}"));
        let client = Node::shared().client(&block).await;
        publish_all(&client, &queue, 1..=9).await;
        let mut consumer = client.consume(&from(&queue), 5);
        let mut taken = vec![next_settled(&mut consumer, Verdict::Done).await.0];
        for _ in 0..2 {
            next_settled(&mut consumer, Verdict::Leave).await;
        }
        until_waiting(&client, &queue, 3).await;
        consumer.close().await;
        let mut consumer = client.consume(&from(&queue), 5);
        for _ in 0..8 {
            taken.push(next_settled(&mut consumer, Verdict::Done).await.0);
        }
        assert_eq!(taken.join(" "), "1 2 3 4 5 6 7 8 9", "{kind}");
        client.close().await;
    }
}

/// A limit on deliveries drops what was handed back so often: rollouts would lose messages that nobody has looked at.
#[tokio::test]
async fn handing_back_costs_no_message_its_last_life() {
    let node = Node::shared();
    let queue = name("lives");
    let pattern = format!("^{queue}");
    let policy = ["set_policy", "--apply-to", "queues", &queue, &pattern];
    node.ctl(&[&policy[..], &["{\"delivery-limit\":6}"]].concat());
    let block = "retry = { delays = [\"1s\"] }";
    let client = node.client(&queue_block(&queue, block)).await;
    publish_all(&client, &queue, 1..=3).await;
    for _ in 0..15 {
        // A rollout: all are taken, one is looked at.
        let mut consumer = client.consume(&from(&queue), 10);
        let seen = next(&mut consumer).await;
        assert_eq!(seen.attempt, 1);
        consumer.close().await;
        seen.settle.settle(Verdict::Return).await.unwrap();
        until_waiting(&client, &queue, 3).await;
    }
    let mut consumer = client.consume(&from(&queue), 10);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(next_settled(&mut consumer, Verdict::Done).await.0);
    }
    ids.sort();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(client.dead_letters(&from(&queue), 10).await, Ok(Vec::new()));
    client.close().await;
    node.ctl(&["clear_policy", &queue]);
}
