use std::sync::Mutex;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

const TOPIC: &str = "[topics.orders]\npartitions = 4";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_does_not_come_again_and_what_is_not_does() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let client = connected(&cluster, "").await;
    publish_all(&client, "orders", 5).await;
    let from = source("orders", "all");
    let mut consumer = client.consume(&from, 10);
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(next(&mut consumer).await);
    }
    assert_eq!(soon(client.waiting(&from)).await, Some(5));
    // The second is not: nothing is committed past it.
    let second = taken.remove(1);
    for delivery in taken {
        settle(delivery, Verdict::Done).await;
    }
    drop(second);
    let again = next(&mut consumer).await;
    assert_eq!((&*again.message.id, again.redelivered), ("id-1", true));
    assert_eq!(soon(client.waiting(&from)).await, Some(4));
    let closed = consumer.close();
    drop(again);
    soon(closed).await;

    let mut consumer = client.consume(&from, 10);
    for number in 1..5 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.id, format!("id-{number}"));
        settle(delivery, Verdict::Done).await;
    }
    assert!(nothing_comes(&mut consumer).await);
    assert_eq!(soon(client.waiting(&from)).await, Some(0));
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_out_than_was_asked_for() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 4, 0);
    let client = connected(&cluster, TOPIC).await;
    publish_all(&client, "orders", 20).await;
    let mut consumer = client.consume(&source("orders", "all"), 3);
    let mut out = Vec::new();
    for _ in 0..3 {
        out.push(next(&mut consumer).await);
    }
    assert!(nothing_comes(&mut consumer).await);
    assert_eq!(consumer.trouble(), None);
    settle(out.remove(0), Verdict::Done).await;
    out.push(next(&mut consumer).await);
    assert!(nothing_comes(&mut consumer).await);
    // Given back, it comes again.
    let back = out.remove(0);
    let id = back.message.id.clone();
    settle(back, Verdict::Return).await;
    let again = next(&mut consumer).await;
    assert_eq!((again.message.id, again.attempt), (id, 1));
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_when_a_consumer_closes_can_still_be_settled() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let client = connected(&cluster, "").await;
    publish_all(&client, "orders", 2).await;
    let from = source("orders", "all");
    let mut consumer = client.consume(&from, 10);
    let first = next(&mut consumer).await;
    soon(consumer.close()).await;
    settle(first, Verdict::Done).await;
    let mut consumer = client.consume(&from, 10);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message.id, "id-1");
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_seen_while_members_come_and_go() {
    const COUNT: usize = 2000;
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 4, 0);
    let publisher = connected(&cluster, TOPIC).await;
    let (one, other) = (
        connected(&cluster, TOPIC).await,
        connected(&cluster, TOPIC).await,
    );
    let from = source("orders", "all");
    let first = Taker::start(&one, &from);
    let half = publish_many(&publisher, "orders", 0..COUNT / 2).await;
    assert_eq!(half.len(), COUNT / 2);
    let second = Taker::start(&other, &from);
    until("the first has taken some", || !first.seen().is_empty()).await;
    // A few at a time, until both have a share of them.
    let mut number = COUNT / 2;
    let end = Instant::now() + LIMIT;
    while second.seen().len() < 100 && number < COUNT - 20 {
        assert!(Instant::now() < end, "the second gets nothing");
        let some = publish_many(&publisher, "orders", number..number + 20).await;
        number += some.len();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!second.seen().is_empty());
    // It goes while messages come.
    let rest = tokio::spawn(async move { publish_many(&publisher, "orders", number..COUNT).await });
    let by_second = second.stop().await;
    soon(other.close()).await;
    assert_eq!(soon(rest).await.unwrap().len(), COUNT - number);
    until("all are seen", || {
        let by_first = first.seen();
        let ids: HashSet<&String> = by_first.keys().chain(by_second.keys()).collect();
        ids.len() == COUNT
    })
    .await;
    until_nothing_waits(&one, &from).await;
    let by_first = first.stop().await;
    let total: usize = by_first.values().chain(by_second.values()).sum();
    // What was out when partitions changed hands: twice at the most.
    assert!(total - COUNT <= 4 * 16, "{} came again", total - COUNT);
    soon(one.close()).await;
}

/// A member that settles whatever it gets.
struct Taker {
    seen: Arc<Mutex<HashMap<String, usize>>>,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Taker {
    fn start(client: &Arc<dyn Client>, from: &Source) -> Self {
        let mut consumer = client.consume(from, 16);
        let (seen, stop) = (
            Arc::<Mutex<HashMap<_, _>>>::default(),
            Arc::new(Notify::new()),
        );
        let (noted, stopped) = (seen.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut settling = JoinSet::new();
            loop {
                let delivery = tokio::select! {
                    delivery = consumer.next() => delivery,
                    () = stopped.notified() => break,
                };
                let id = delivery.message.id.clone();
                *noted.lock().unwrap().entry(id).or_default() += 1;
                // What had to be given up comes again.
                settling.spawn(async { drop(delivery.settle.settle(Verdict::Done).await) });
                while settling.try_join_next().is_some() {}
            }
            consumer.close().await;
            settling.join_all().await;
        });
        Taker { seen, stop, task }
    }

    fn seen(&self) -> HashMap<String, usize> {
        self.seen.lock().unwrap().clone()
    }

    async fn stop(self) -> HashMap<String, usize> {
        self.stop.notify_one();
        soon(self.task).await.unwrap();
        self.seen.lock().unwrap().clone()
    }
}

async fn until_nothing_waits(client: &Arc<dyn Client>, from: &Source) {
    let end = Instant::now() + LIMIT;
    while soon(client.waiting(from)).await != Some(0) {
        assert!(Instant::now() < end, "something waits");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
