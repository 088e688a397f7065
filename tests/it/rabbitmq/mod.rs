//! RabbitMQ as its client sees it, against the real server, which `tests/run` starts: `tests/servers/rabbitmq`.

mod consuming;
mod dead_letters;
mod declaring;
mod doubles;
mod outages;
mod patience;
mod publishing;
mod tls;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use outrigger::broker::{
    Checked, Client, Config, Consumer, Delivery, Destination, Message, Refusal, Source, Verdict,
    connect,
};
use outrigger::value::problem::Problems;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use crate::support::LIMIT;

/// A server.
struct Node {
    folder: PathBuf,
}

impl Node {
    /// The one that all tests share.
    fn shared() -> Node {
        Node::named("shared")
    }

    /// The one that is stopped and alarmed. Whoever uses it holds [`outages::ALONE`].
    fn fragile() -> Node {
        Node::named("fragile")
    }

    fn named(name: &str) -> Node {
        let folders = std::env::var_os("OUTRIGGER_TEST_RABBITMQ_FOLDER")
            .expect("tests/run starts the servers that this test needs, and says where they are");
        Node {
            folder: PathBuf::from(folders).join(name),
        }
    }

    fn url(&self) -> String {
        self.run("url", &[]).trim().to_owned()
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        self.run("ctl", arguments)
    }

    fn run(&self, command: &str, arguments: &[&str]) -> String {
        let ended = Command::new("tests/servers/rabbitmq")
            .arg(command)
            .arg(&self.folder)
            .args(arguments)
            .output()
            .expect("the script runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{command} {arguments:?}: {said}");
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// A client with this block, `url` left out, once it is connected.
    async fn client(&self, block: &str) -> Arc<dyn Client> {
        let client = client(&self.url(), block);
        until("the client is connected", || client.state().is_connected()).await;
        client
    }

    /// A connection of somebody else's.
    async fn stranger(&self) -> lapin::Channel {
        let properties = lapin::ConnectionProperties::default();
        let connection = lapin::Connection::connect(&self.url(), properties).await;
        connection.unwrap().create_channel().await.unwrap()
    }
}

/// A client that connects to `url`.
fn client(url: &str, block: &str) -> Arc<dyn Client> {
    let config: Config = toml::from_str(&format!("url = {{ value = {url:?} }}\n{block}")).unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    let (opened, _) = config.open(&mut problems);
    assert!(!problems.has_errors(), "{:?}", problems.into_vec());
    let checked = Checked::new(config, opened.unwrap());
    connect("events", &checked, &Handle::current()).unwrap()
}

/// A name that nobody else uses.
fn name(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{next}", std::process::id())
}

/// The block of a queue with `more` keys.
fn queue_block(queue: &str, more: &str) -> String {
    format!("[queues.{queue}]\n{more}\n")
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        content_type: Some("text/plain".to_owned()),
        headers: Vec::new(),
        body: Bytes::from(format!("body of {id}")),
    }
}

/// To a queue by its name.
fn to(queue: &str) -> Destination {
    Destination::Exchange {
        exchange: String::new(),
        routing_key: queue.to_owned(),
    }
}

fn from(queue: &str) -> Source {
    Source::Queue {
        queue: queue.to_owned(),
    }
}

async fn publish(
    client: &Arc<dyn Client>,
    to: Destination,
    message: Message,
) -> Result<(), Refusal> {
    let published = timeout(LIMIT, client.publish(to, message)).await;
    published.expect("an answer in time").map(drop)
}

async fn publish_all(client: &Arc<dyn Client>, queue: &str, ids: impl Iterator<Item = u32>) {
    for id in ids {
        publish(client, to(queue), message(&id.to_string()))
            .await
            .unwrap();
    }
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = timeout(LIMIT, consumer.next()).await;
    next.unwrap_or_else(|_| panic!("no message came: {:?}", consumer.trouble()))
}

async fn next_settled(consumer: &mut Box<dyn Consumer>, verdict: Verdict) -> (String, u32) {
    let delivery = next(consumer).await;
    let settled = timeout(LIMIT, delivery.settle.settle(verdict)).await;
    settled.expect("settled in time").expect("settled");
    (delivery.message.id, delivery.attempt)
}

/// Nothing comes for a while.
async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    let next = timeout(Duration::from_millis(300), consumer.next()).await;
    assert!(
        next.is_err(),
        "{} came",
        next.map(|next| next.message.id).unwrap_or_default()
    );
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so many messages are ready in a queue.
async fn until_waiting(client: &Arc<dyn Client>, queue: &str, count: u64) {
    let end = Instant::now() + LIMIT;
    let mut seen = String::new();
    loop {
        let waiting = client.waiting(&from(queue)).await;
        if waiting == Some(count) {
            return;
        }
        if seen.len() < 200 {
            let _ = write!(seen, "{waiting:?} ");
        }
        assert!(Instant::now() < end, "{queue} should have {count}: {seen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
