use std::collections::BTreeMap;
use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_one_key_stay_in_order_and_come_as_they_went() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 4, 0);
    let client = connected(&cluster, "[topics.orders]\npartitions = 4").await;
    assert_eq!(client.state().mismatches, []);
    publish_all(&client, "orders", 200).await;
    let mut consumer = client.consume(&source("orders", "all"), 16);
    let mut by_key: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for _ in 0..200 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.attempt, delivery.redelivered), (1, false));
        let id = delivery.message.id.clone();
        assert_eq!(delivery.message, message(&id));
        let number = id.trim_start_matches("id-").parse().unwrap();
        let key = delivery.key.clone().unwrap();
        by_key.entry(key).or_default().push(number);
        settle(delivery, Verdict::Done).await;
    }
    assert_eq!(by_key.len(), 5);
    for (key, numbers) in by_key {
        assert!(
            numbers.is_sorted() && numbers.len() == 40,
            "{key}: {numbers:?}"
        );
    }
    soon(consumer.close()).await;
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_off_is_asked_for_with_the_same_sequence_number() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let client = connected(&cluster, "").await;
    soon(publish(&client, "orders", None, "first"))
        .await
        .unwrap();
    cluster.run("swallow 1");
    let confirmed = soon(publish(&client, "orders", None, "second")).await;
    assert_eq!(confirmed, Ok(Confirmed { duplicate: false }));
    // Producer, sequence and all: a broker that knows them stores it once. This one knows none.
    assert_eq!(cluster.ask("repeated"), 1);
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_missing_when_brokers_go_and_come_back() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 4, 0);
    let client = connected(&cluster, "").await;
    let mut confirmed = HashSet::new();
    for round in 0..6 {
        // One is away at a time, and its connections are cut.
        let broker = round % 3 + 1;
        let publishing = tokio::spawn({
            let client = client.clone();
            let numbers = round * 300..(round + 1) * 300;
            async move { publish_many(&client, "orders", numbers).await }
        });
        cluster.run(&format!("broker_set_down {broker}"));
        let mut tries = 0;
        until("it is away for a while", || {
            tries += 1;
            tries > 20
        })
        .await;
        cluster.run(&format!("broker_set_up {broker}"));
        confirmed.extend(publishing.await.unwrap());
    }
    assert!(confirmed.len() > 900, "{} are confirmed", confirmed.len());
    let mut consumer = client.consume(&source("orders", "all"), 100);
    while !confirmed.is_empty() {
        let delivery = next(&mut consumer).await;
        confirmed.remove(&delivery.message.id);
        settle(delivery, Verdict::Done).await;
    }
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_refusal_says_why() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let client = connected(&cluster, "[topics.orders]\npartitions = 3").await;
    let state = client.state();
    let (what, why) = &state.mismatches[0];
    assert_eq!(what, "topics.orders");
    assert!(why.contains("1 partitions") && why.contains('3'), "{why}");
    let began = Instant::now();
    let refused = soon(publish(&client, "nowhere", None, "a")).await;
    assert!(
        matches!(&refused, Err(Refusal::Unroutable(why)) if why.contains("nowhere")),
        "{refused:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(2), "at once");
    const TOO_LARGE: i32 = 10;
    cluster.run(&format!("push_request_errors 0 1 {TOO_LARGE}"));
    let refused = soon(publish(&client, "orders", None, "b")).await;
    assert!(matches!(refused, Err(Refusal::TooLarge(_))), "{refused:?}");
    let ours = Message {
        headers: vec![("outrigger-group".to_owned(), "mine".to_owned())],
        ..message("c")
    };
    let to = Destination::Topic {
        topic: "orders".to_owned(),
        key: None,
    };
    let refused = soon(client.publish(to, ours)).await;
    assert!(matches!(refused, Err(Refusal::Unfit(_))), "{refused:?}");
    soon(publish(&client, "orders", None, "d")).await.unwrap();
    soon(client.close()).await;
    let refused = soon(publish(&client, "orders", None, "e")).await;
    assert!(
        matches!(refused, Err(Refusal::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_message_is_refused_at_once_until_there_is_one() {
    let nobody = client("kafka://127.0.0.1:1", "");
    let began = Instant::now();
    let refused = soon(publish(&nobody, "orders", None, "a")).await;
    assert!(
        matches!(refused, Err(Refusal::Unavailable(_))),
        "{refused:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1));
    let why = || match nobody.state().link {
        outrigger::broker::Link::Down { error, .. } => error,
        outrigger::broker::Link::Connected { .. } => None,
    };
    until("it says why", || why().is_some()).await;

    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let client = connected(&cluster, "").await;
    soon(publish(&client, "orders", None, "b")).await.unwrap();
    cluster.run("broker_set_down -1");
    // The first finds out; whether it is stored once they are back is not known before.
    let first = tokio::spawn({
        let client = client.clone();
        async move { publish(&client, "orders", None, "c").await }
    });
    until("it is known", || !client.state().is_connected()).await;
    let began = Instant::now();
    let refused = soon(publish(&client, "orders", None, "d")).await;
    assert!(
        matches!(refused, Err(Refusal::Unavailable(_))),
        "{refused:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1));
    cluster.run("broker_set_up -1");
    until("it is back", || client.state().is_connected()).await;
    soon(first).await.unwrap().unwrap();
    soon(publish(&client, "orders", None, "e")).await.unwrap();
    soon(client.close()).await;
}
