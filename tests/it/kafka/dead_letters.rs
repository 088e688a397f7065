use super::*;

const TOPIC: &str = "[topics.orders]\npartitions = 2";

/// Has the group fail for `ids`, one after the other.
async fn fail(client: &Arc<dyn Client>, group: &str, ids: &[&str]) {
    let mut consumer = client.consume(&source("orders", group), 10);
    for id in ids {
        soon(publish(client, "orders", Some(id), id)).await.unwrap();
    }
    for _ in ids {
        let delivery = next(&mut consumer).await;
        let reason = "status_400".to_owned();
        settle(delivery, Verdict::DeadLetter { reason }).await;
    }
    soon(consumer.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_seen_put_back_and_passed_over() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 2, 0);
    let client = connected(&cluster, TOPIC).await;
    let from = source("orders", "all");
    assert!(client.keeps_dead_letters(&from));
    assert_eq!(soon(client.dead_letters(&from, 10)).await, Ok(Vec::new()));
    fail(&client, "all", &["a", "b", "c", "d"]).await;

    let letters = soon(client.dead_letters(&from, 10)).await.unwrap();
    let mut ids: Vec<_> = letters.iter().map(|letter| &*letter.message.id).collect();
    assert!(letters.iter().all(|letter| letter.reason == "status_400"
        && letter.attempts == 1
        && letter.since.is_some()
        && letter.message == message(&letter.message.id)));
    let first: Vec<String> = ids[..2].iter().map(|id| (*id).to_owned()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(soon(client.dead_letters(&from, 1)).await.unwrap().len(), 1);
    // They are of this group only.
    let other = source("orders", "other");
    assert_eq!(soon(client.dead_letters(&other, 10)).await, Ok(Vec::new()));

    assert_eq!(soon(client.replay(&from, 2)).await, Ok(2));
    let mut consumer = client.consume(&from, 10);
    let mut back = Vec::new();
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.attempt, 1);
        back.push(delivery.message.id.clone());
        settle(delivery, Verdict::Done).await;
    }
    back.sort_unstable();
    let mut replayed = first.clone();
    replayed.sort_unstable();
    assert_eq!(back, replayed);
    assert!(nothing_comes(&mut consumer).await);

    let left = soon(client.dead_letters(&from, 10)).await.unwrap();
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|letter| !first.contains(&letter.message.id))
    );
    assert_eq!(soon(client.discard(&from, 1)).await, Ok(1));
    assert_eq!(
        soon(client.dead_letters(&from, 10)).await,
        Ok(left[1..].to_vec())
    );
    assert_eq!(soon(client.discard(&from, 10)).await, Ok(1));
    assert_eq!(soon(client.replay(&from, 10)).await, Ok(0));
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_cannot_be_stored_is_not_lost() {
    let mut cluster = KafkaCluster::start();
    cluster.run("topic_create orders 1 3");
    // No cluster of three has so many.
    let client = connected(&cluster, "[topics.orders]\nreplicas = 9").await;
    let mismatches = client.state().mismatches;
    let [(orders, has), (dead, why)] = &*mismatches else {
        panic!("{mismatches:?}");
    };
    assert_eq!(orders, "topics.orders");
    assert!(has.contains("3 replicas") && has.contains('9'), "{has}");
    assert_eq!(dead, "topics.orders: orders.dlq");
    assert!(why.contains("cannot be created"), "{why}");
    let mut consumer = client.consume(&source("orders", "all"), 10);
    soon(publish(&client, "orders", None, "a")).await.unwrap();
    let delivery = next(&mut consumer).await;
    let verdict = Verdict::DeadLetter {
        reason: "status_400".to_owned(),
    };
    let lost = soon(delivery.settle.settle(verdict)).await.unwrap_err();
    assert!(lost.0.contains("orders.dlq"), "{lost:?}");
    let again = next(&mut consumer).await;
    assert_eq!((&*again.message.id, again.attempt), ("a", 1));
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_of_a_topic_that_is_not_declared_is_not_lost() {
    let mut cluster = KafkaCluster::start();
    cluster.run("topic_create orders 1 3");
    let client = connected(&cluster, "").await;
    let from = source("orders", "all");
    assert!(!client.keeps_dead_letters(&from));
    let mut consumer = client.consume(&from, 10);
    soon(publish(&client, "orders", None, "a")).await.unwrap();
    let delivery = next(&mut consumer).await;
    let reason = "status_400".to_owned();
    let verdict = Verdict::DeadLetter { reason };
    let lost = soon(delivery.settle.settle(verdict)).await.unwrap_err();
    assert!(lost.0.contains("not kept"), "{lost:?}");
    let again = next(&mut consumer).await;
    assert_eq!((&*again.message.id, again.redelivered), ("a", true));
    soon(client.close()).await;
}
