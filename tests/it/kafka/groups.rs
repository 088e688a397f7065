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
    while second.seen().len() < 100 && number < COUNT - 20 {
        let some = publish_many(&publisher, "orders", number..number + 20).await;
        number += some.len();
        until("they are seen", || all_of(&first, &second).len() >= number).await;
    }
    assert!(!second.seen().is_empty());
    // It goes while messages come.
    let rest = tokio::spawn(async move { publish_many(&publisher, "orders", number..COUNT).await });
    let by_second = second.stop().await;
    soon(other.close()).await;
    assert_eq!(soon(rest).await.unwrap().len(), COUNT - number);
    until("all are seen", || {
        let mut ids = first.seen();
        ids.extend(by_second.clone());
        ids.len() == COUNT
    })
    .await;
    until_nothing_waits(&one, &from).await;
    let by_first = first.stop().await;
    let times = |id: &String| by_first.get(id).unwrap_or(&0) + by_second.get(id).unwrap_or(&0);
    let doubled: Vec<_> = by_first.keys().filter(|id| times(id) > 1).collect();
    assert!(doubled.is_empty(), "came twice without a word: {doubled:?}");
    soon(one.close()).await;
}

fn all_of(one: &Taker, other: &Taker) -> HashMap<String, usize> {
    let mut seen = one.seen();
    seen.extend(other.seen());
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_given_out_before_says_so_and_nothing_else_does() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 1, 0);
    let publisher = connected(&cluster, "").await;
    publish_all(&publisher, "orders", 5).await;
    let from = source("orders", "all");
    let first = connected(&cluster, "").await;
    let mut consumer = first.consume(&from, 10);
    let settled = next(&mut consumer).await;
    let (one, other) = (next(&mut consumer).await, next(&mut consumer).await);
    settle(settled, Verdict::Done).await;
    // It goes while two are out, which nobody settles.
    soon(first.close()).await;
    let mut consumer = publisher.consume(&from, 10);
    for (number, again) in [(1, true), (2, true), (3, false), (4, false)] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.message.id, format!("id-{number}"));
        assert_eq!((delivery.attempt, delivery.redelivered), (1, again));
        settle(delivery, Verdict::Done).await;
    }
    for late in [one, other] {
        let lost = soon(late.settle.settle(Verdict::Done)).await.unwrap_err();
        assert!(lost.0.contains("comes again"), "{lost:?}");
    }
    assert!(nothing_comes(&mut consumer).await);
    soon(publisher.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_out_while_partitions_change_hands_comes_once_or_says_so() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 2, 0);
    let (one, other) = (connected(&cluster, "").await, connected(&cluster, "").await);
    let from = source("orders", "all");
    let mut first = one.consume(&from, 10);
    publish_all(&one, "orders", 20).await;
    let mut out = Vec::new();
    for _ in 0..10 {
        out.push(next(&mut first).await);
    }
    // What is out is settled first: nobody else delivers it meanwhile.
    let mut second = other.consume(&from, 10);
    assert!(nothing_comes(&mut second).await);
    let mut seen: HashSet<String> = HashSet::new();
    for delivery in out {
        seen.insert(delivery.message.id.clone());
        // This cluster, unlike others, hears of nothing while it waits for members.
        let _heard = soon(delivery.settle.settle(Verdict::Done)).await;
    }
    while seen.len() < 20 {
        let delivery = tokio::select! {
            delivery = next(&mut first) => delivery,
            delivery = next(&mut second) => delivery,
        };
        let id = delivery.message.id.clone();
        let is_new = seen.insert(id.clone());
        assert!(
            is_new || delivery.redelivered,
            "{id} came twice without a word"
        );
        settle(delivery, Verdict::Done).await;
    }
    soon(one.close()).await;
    soon(other.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_when_its_coordinator_moves_or_is_away() {
    const EACH: usize = 100;
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 4, 0);
    let client = connected(&cluster, TOPIC).await;
    let from = source("orders", "all");
    let taker = Taker::start(&client, &from);
    let mut confirmed = HashSet::new();
    for round in 0..6 {
        let numbers = round * EACH..(round + 1) * EACH;
        let publishing = tokio::spawn({
            let client = client.clone();
            async move { publish_many(&client, "orders", numbers).await }
        });
        let broker = round % 3 + 1;
        if round < 3 {
            cluster.run(&format!("coordinator_set group all {broker}"));
        } else {
            cluster.run(&format!("broker_set_down {broker}"));
            let before = cluster.ask("refused");
            until("it is missed", || cluster.ask("refused") > before).await;
            cluster.run(&format!("broker_set_up {broker}"));
        }
        confirmed.extend(soon(publishing).await.unwrap());
        until("what is confirmed is seen", || {
            let seen = taker.seen();
            confirmed.iter().all(|id| seen.contains_key(id))
        })
        .await;
    }
    assert!(
        confirmed.len() > 3 * EACH,
        "{} are confirmed",
        confirmed.len()
    );
    until_nothing_waits(&client, &from).await;
    let seen = soon(taker.stop()).await;
    let doubled: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "came twice without a word: {doubled:?}");
    soon(client.close()).await;
}

/// A member that settles whatever it gets, and counts how often each comes that does not say that it comes again.
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
                let times = usize::from(!delivery.redelivered);
                *noted.lock().unwrap().entry(id).or_default() += times;
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
