//! What becomes of messages when the broker stops, or takes none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use outrigger::broker::{Client, Message, Refusal, Verdict};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::{
    Node, from, message, name, next, next_settled, publish, publish_all, queue_block, to, until,
    until_waiting,
};

/// Who stops the server, or alarms it, is alone with it.
pub(super) static ALONE: Mutex<()> = Mutex::const_new(());

/// The watermark that RabbitMQ has by itself.
const USUAL: &str = "0.4";
/// So many messages are published before something ends.
const MANY: u32 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_stops_what_is_published_and_not_what_is_consumed() {
    let _alone = ALONE.lock().await;
    let node = Node::fragile();
    let queue = name("work");
    let client = node
        .client(&queue_block(&queue, "retry = { delays = [\"1s\"] }"))
        .await;
    publish_all(&client, &queue, 1..=3).await;
    let mut consumer = client.consume(&from(&queue), 10);
    let failed = next(&mut consumer).await;
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    // The broker says so only to whoever publishes, and takes what was under way then, or not.
    let begun = Instant::now();
    loop {
        match publish(&client, to(&queue), message("blocked")).await {
            Ok(()) => {}
            Err(Refusal::Blocked(why)) => {
                assert!(why.contains("low on memory"), "{why}");
                break;
            }
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    let begun = Instant::now();
    for _ in 0..200 {
        let refused = publish(&client, to(&queue), message("blocked")).await;
        assert!(matches!(refused, Err(Refusal::Blocked(_))), "{refused:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(client.state().is_connected());
    assert!(client.state().blocked.is_some());
    for id in ["2", "3"] {
        let taken = next_settled(&mut consumer, Verdict::Done).await;
        assert_eq!(taken, (id.to_owned(), 1));
    }
    // One that failed waits until the ladder can take it.
    let retried = tokio::spawn(failed.settle.settle(Verdict::Retry { step: 0 }));
    until_waiting(&client, &queue, 0).await;
    assert!(!retried.is_finished());
    node.ctl(&["set_vm_memory_high_watermark", USUAL]);
    until("the alarm has ended", || client.state().blocked.is_none()).await;
    publish(&client, to(&queue), message("after"))
        .await
        .unwrap();
    retried.await.unwrap().unwrap();
    let mut seen = BTreeMap::new();
    while !(seen.contains_key("after") && seen.contains_key("1")) {
        let (id, attempt) = next_settled(&mut consumer, Verdict::Done).await;
        seen.insert(id, attempt);
    }
    assert_eq!((seen["after"], seen["1"]), (1, 2));
    client.close().await;
}

/// Closing does not wait for a broker that reads nothing.
#[tokio::test]
async fn a_message_that_is_larger_than_the_broker_takes_is_told_so_and_others_go_on() {
    let _alone = ALONE.lock().await;
    let node = Node::fragile();
    let queue = name("work");
    let client = node.client(&queue_block(&queue, "")).await;
    let most = |bytes: u32| {
        let set = format!("application:set_env(rabbit, max_message_size, {bytes}).");
        node.ctl(&["eval", &set]);
    };
    most(2 << 20);
    let large = Message {
        body: vec![b'x'; 3 << 20].into(),
        ..message("large")
    };
    let (large, other) = tokio::join!(
        publish(&client, to(&queue), large),
        publish(&client, to(&queue), message("other")),
    );
    most(16 << 20);
    assert!(matches!(large, Err(Refusal::TooLarge(_))), "{large:?}");
    other.unwrap();
    until_waiting(&client, &queue, 1).await;
    client.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_holds_up_nobody_who_goes() {
    let _alone = ALONE.lock().await;
    let node = Node::fragile();
    let queue = name("work");
    let client = node.client(&queue_block(&queue, "")).await;
    node.ctl(&["set_vm_memory_high_watermark", "0"]);
    while publish(&client, to(&queue), message("1")).await.is_ok() {}
    let begun = Instant::now();
    client.close().await;
    drop(client);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    node.ctl(&["set_vm_memory_high_watermark", USUAL]);
}

/// Everything that was confirmed comes, whatever ends the broker meanwhile, and what was repeated has the same id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_loses_nothing_that_it_confirmed() {
    let _alone = ALONE.lock().await;
    let node = Node::fragile();
    let queue = name("work");
    let client = node.client(&queue_block(&queue, "")).await;
    let mut consumer = client.consume(&from(&queue), 100);
    let next_id = Arc::new(AtomicU32::new(0));
    let ended = Arc::new(AtomicBool::new(false));
    let mut publishers = JoinSet::new();
    for _ in 0..8 {
        publishers.spawn(publish_until(
            client.clone(),
            queue.clone(),
            next_id.clone(),
            ended.clone(),
        ));
    }
    let outages = tokio::spawn({
        let (ended, client, next_id) = (ended.clone(), client.clone(), next_id.clone());
        let under_way = async move || {
            let enough = next_id.load(Ordering::Relaxed) + MANY;
            until("they publish", || next_id.load(Ordering::Relaxed) > enough).await;
        };
        async move {
            for how in ["stop", "kill"] {
                under_way().await;
                let restarted = spawn_blocking(move || {
                    let node = Node::fragile();
                    node.run(how, &[]);
                    node.run("start", &[]);
                    node.run("ready", &[]);
                });
                restarted.await.unwrap();
                until_connected(&client).await;
            }
            under_way().await;
            ended.store(true, Ordering::Relaxed);
        }
    });
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    let mut held = None;
    let consuming = async {
        loop {
            let delivery = consumer.next().await;
            if held.is_none() {
                held = Some(delivery);
                continue;
            }
            let id = delivery.message.id.parse().unwrap();
            if id == u32::MAX {
                break;
            }
            *seen.entry(id).or_default() += 1;
            // When the connection ends first, it comes again.
            let _lost = delivery.settle.settle(Verdict::Done).await;
        }
    };
    let publishing = async {
        outages.await.unwrap();
        let mut confirmed = Vec::new();
        let mut refused = BTreeMap::new();
        while let Some(done) = publishers.join_next().await {
            let (ids, refusals) = done.unwrap();
            confirmed.extend(ids);
            for (kind, count) in refusals {
                *refused.entry(kind).or_insert(0) += count;
            }
        }
        let last = message(&u32::MAX.to_string());
        publish(&client, to(&queue), last).await.unwrap();
        (confirmed, refused)
    };
    let (_, (confirmed, refused)) = tokio::time::timeout(Duration::from_secs(120), async {
        tokio::join!(consuming, publishing)
    })
    .await
    .unwrap();
    // What was held over an outage cannot be settled any more, and came again.
    let held = held.unwrap();
    assert!(held.settle.settle(Verdict::Done).await.is_err());
    until_waiting(&client, &queue, 0).await;
    let missing: Vec<&u32> = confirmed
        .iter()
        .filter(|id| !seen.contains_key(id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} are lost: {missing:?}",
        missing.len(),
        confirmed.len()
    );
    let doubles = seen.values().filter(|count| **count > 1).count();
    println!(
        "{} confirmed, {doubles} came more than once, {refused:?}",
        confirmed.len()
    );
    assert!(refused.contains_key("unavailable"), "{refused:?}");
    client.close().await;
}

/// Publishes one message after the other, each again under its id until it is confirmed.
async fn publish_until(
    client: Arc<dyn Client>,
    queue: String,
    next: Arc<AtomicU32>,
    ended: Arc<AtomicBool>,
) -> (Vec<u32>, BTreeMap<&'static str, u32>) {
    let mut confirmed = Vec::new();
    let mut refused = BTreeMap::new();
    while !ended.load(Ordering::Relaxed) {
        let id = next.fetch_add(1, Ordering::Relaxed);
        loop {
            let kind = match publish(&client, to(&queue), message(&id.to_string())).await {
                Ok(()) => break,
                Err(Refusal::Unavailable(_)) => "unavailable",
                Err(Refusal::Unknown(_)) => "unknown",
                other => panic!("{other:?}"),
            };
            *refused.entry(kind).or_insert(0) += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        confirmed.push(id);
    }
    (confirmed, refused)
}

/// Within the time that the broker's start and the longest wait take.
async fn until_connected(client: &Arc<dyn Client>) {
    for _ in 0..3 {
        let connected = tokio::time::timeout(
            Duration::from_secs(15),
            until("connected again", || client.state().is_connected()),
        );
        if connected.await.is_ok() {
            return;
        }
    }
    panic!("it does not connect again: {:?}", client.state());
}
