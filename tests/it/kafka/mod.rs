//! The client of Kafka, against a cluster of three brokers.

mod dead_letters;
mod fetching;
mod groups;
pub mod program;
mod publishing;
mod retries;
mod secrets;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use outrigger::broker::{
    Checked, Client, Config, Confirmed, Consumer, Delivery, Destination, Message, Refusal, Source,
    Verdict, connect,
};
use outrigger::value::problem::Problems;
use tokio::runtime::Handle;

use crate::support::KafkaCluster;

/// Groups take their time: a member that is gone is missed for six seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A client of the broker whose block has `url` and then `config`.
fn client(url: &str, config: &str) -> Arc<dyn Client> {
    let block = format!("url = {{ value = {url:?} }}\nheartbeat = \"6s\"\n{config}");
    let config: Config = toml::from_str(&block).expect("a block of a broker");
    let mut problems = Problems::default();
    let (opened, _) = config.open(&mut problems);
    let opened = opened.unwrap_or_else(|| panic!("{:?}", problems.into_vec()));
    let checked = Checked::new(config, opened);
    connect("events", &checked, &Handle::current()).expect("Kafka is built in")
}

/// A client that is connected.
async fn connected(cluster: &KafkaCluster, config: &str) -> Arc<dyn Client> {
    let client = client(&cluster.url(), config);
    until("it is connected", || client.state().is_connected()).await;
    client
}

/// Looks again and again until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Its result, which comes within the limit of a test.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(LIMIT, future).await;
    result.expect("an answer in time")
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        content_type: Some("text/plain".to_owned()),
        headers: vec![("ce-type".to_owned(), "made".to_owned())],
        body: Bytes::from(format!("message {id}")),
    }
}

fn publish<'a>(
    client: &'a Arc<dyn Client>,
    topic: &str,
    key: Option<&str>,
    id: &str,
) -> BoxFuture<'a, Result<Confirmed, Refusal>> {
    let to = Destination::Topic {
        topic: topic.to_owned(),
        key: key.map(str::to_owned),
    };
    client.publish(to, message(id))
}

/// Publishes `count` messages, each of which is confirmed: `id-0`, with the keys `k0` to `k4` in turn, and so on.
async fn publish_all(client: &Arc<dyn Client>, topic: &str, count: usize) {
    for number in 0..count {
        let key = format!("k{}", number % 5);
        let published = publish(client, topic, Some(&key), &format!("id-{number}"));
        soon(published).await.unwrap();
    }
}

/// Publishes messages of these numbers, 64 at a time, and gives the ids of those that are confirmed.
async fn publish_many(
    client: &Arc<dyn Client>,
    topic: &str,
    numbers: Range<usize>,
) -> HashSet<String> {
    let published = stream::iter(numbers).map(|number| async move {
        let (key, id) = (format!("k{}", number % 7), format!("id-{number}"));
        let published = soon(publish(client, topic, Some(&key), &id)).await;
        published.is_ok().then_some(id)
    });
    let confirmed = published.buffer_unordered(64);
    confirmed.filter_map(std::future::ready).collect().await
}

fn source(topic: &str, group: &str) -> Source {
    Source::Topic {
        topic: topic.to_owned(),
        group: group.to_owned(),
    }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    soon(consumer.next()).await
}

async fn settle(delivery: Delivery, verdict: Verdict) {
    soon(delivery.settle.settle(verdict)).await.unwrap();
}

/// Whether nothing comes for a while.
async fn nothing_comes(consumer: &mut Box<dyn Consumer>) -> bool {
    let while_ = Duration::from_millis(1500);
    tokio::time::timeout(while_, consumer.next()).await.is_err()
}
