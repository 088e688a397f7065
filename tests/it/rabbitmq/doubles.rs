//! Messages that come twice because the broker ended, and how they say so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use outrigger::broker::{Client, Consumer, Delivery, Verdict};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::outages::ALONE;
use super::{Node, from, message, name, publish, queue_block, to};
use crate::support::LIMIT;

const COUNT: usize = 1500;
/// How many are published at once.
const AT_ONCE: usize = 50;
/// What is doubled comes right behind the others.
const SILENCE: Duration = Duration::from_secs(3);

/// How often the second attempt came of each id, and how often that said that it may have come before.
type Seen = BTreeMap<String, (u32, u32)>;

/// RabbitMQ moves a message from a step to its queue by publishing it there and forgetting it afterwards. When it ends
/// between the two, the message is in the queue twice, and both are new to the broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_doubles_on_the_ladder_as_it_ends_says_so() {
    let _alone = ALONE.lock().await;
    let queue = name("work");
    let block = queue_block(&queue, "retry = { delays = [\"500ms\"] }");
    let client = Node::fragile().client(&block).await;
    let mut consumer = client.consume(&from(&queue), 100);
    let publishers = publish_many(&client, &queue);
    let mut seen = Seen::new();
    while seen.len() < COUNT / 3 {
        let delivery = timeout(LIMIT, consumer.next()).await.unwrap();
        fail_once(delivery, &mut seen);
    }
    let restarted = spawn_blocking(|| {
        for command in ["stop", "start", "ready"] {
            Node::fragile().run(command, &[]);
        }
    });
    while !restarted.is_finished() || seen.len() < COUNT {
        take_until_silent(&mut consumer, &mut seen).await;
    }
    restarted.await.unwrap();
    publishers.join_all().await;
    let doubled = seen.iter().filter(|(_, (came, _))| *came > 1);
    let silent = doubled.clone().filter(|(_, (came, said))| said + 1 < *came);
    let silent: Vec<_> = silent.collect();
    println!("{} came twice", doubled.count());
    assert!(silent.is_empty(), "{} {silent:?}", silent.len());
    client.close().await;
}

/// Publishes [`COUNT`] messages, each until it is confirmed.
fn publish_many(client: &Arc<dyn Client>, queue: &str) -> JoinSet<()> {
    let mut publishers = JoinSet::new();
    for caller in 0..AT_ONCE {
        let (client, queue) = (client.clone(), queue.to_owned());
        publishers.spawn(async move {
            for number in (caller..COUNT).step_by(AT_ONCE) {
                let message = message(&number.to_string());
                while publish(&client, to(&queue), message.clone()).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        });
    }
    publishers
}

async fn take_until_silent(consumer: &mut Box<dyn Consumer>, seen: &mut Seen) {
    while let Ok(delivery) = timeout(SILENCE, consumer.next()).await {
        fail_once(delivery, seen);
    }
}

fn fail_once(delivery: Delivery, seen: &mut Seen) {
    let verdict = if delivery.attempt == 1 {
        Verdict::Retry { step: 0 }
    } else {
        let (came, said) = seen.entry(delivery.message.id.clone()).or_default();
        *came += 1;
        *said += u32::from(delivery.redelivered);
        Verdict::Done
    };
    // What goes to the ladder while the broker is away waits for it. What is lost with the connection comes again.
    tokio::spawn(delivery.settle.settle(verdict));
}
