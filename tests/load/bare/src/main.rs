//! What the bridge is measured beside. Each prints how many seconds its messages or requests took.
//!
//! ```text
//! bare publish URL NAME COUNT        publishes to a queue (amqp://), subject (nats://) or topic (kafka://), and waits for each confirm
//! bare bridge URL NAME PORT          publishes what is posted to it, and answers when it is confirmed
//! bare consume URL NAME COUNT PORT   posts each message of a queue, stream or topic to an application, and acknowledges it
//! bare post PORT PATH COUNT          posts over HTTP
//! bare serve PORT                    an application that answers every request at once
//! ```
//!
//! All that end do 16 at a time.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

mod http;
mod kafka;
mod nats;
mod rabbitmq;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How many at a time.
const AT_ONCE: usize = 16;
/// What every message and every request carries.
const BODY: [u8; 256] = [b'x'; 256];

/// What is left to do, shared by all that do it.
#[derive(Clone)]
struct Left(Arc<AtomicUsize>);

impl Left {
    /// The number of one that is still to do.
    fn take(&self) -> Option<usize> {
        let less = |left: usize| left.checked_sub(1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .ok()
    }
}

/// What publishes, and waits for each confirm.
#[derive(Clone)]
enum Publisher {
    RabbitMq(rabbitmq::Publisher),
    Nats(nats::Publisher),
    Kafka(kafka::Publisher),
}

impl Publisher {
    /// `name` is that of a queue, a subject or a topic.
    async fn open(url: &str, name: &str) -> Result<Publisher> {
        Ok(if url.starts_with("amqp") {
            Publisher::RabbitMq(rabbitmq::Publisher::open(url, name).await?)
        } else if url.starts_with("kafka") {
            Publisher::Kafka(kafka::Publisher::open(url, name).await?)
        } else {
            Publisher::Nats(nats::Publisher::open(url, name).await?)
        })
    }

    async fn publish(&self, number: usize) -> Result<()> {
        match self {
            Publisher::RabbitMq(publisher) => publisher.publish(number).await,
            Publisher::Nats(publisher) => publisher.publish(number).await,
            Publisher::Kafka(publisher) => publisher.publish(number).await,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["publish", url, name, count] => {
            publish(Publisher::open(url, name).await?, left(count)?).await
        }
        ["bridge", url, name, port] => {
            let publisher = Publisher::open(url, name).await?;
            http::serve(port.parse()?, Some(publisher)).await
        }
        ["consume", url, name, count, port] if url.starts_with("amqp") => {
            rabbitmq::consume(url, name, left(count)?, port.parse()?).await
        }
        ["consume", url, name, count, port] if url.starts_with("kafka") => {
            kafka::consume(url, name, count.parse()?, port.parse()?).await
        }
        ["consume", url, name, count, port] => {
            nats::consume(url, name, left(count)?, port.parse()?).await
        }
        ["post", port, path, count] => http::post(port.parse()?, path, left(count)?).await,
        ["serve", port] => http::serve(port.parse()?, None).await,
        _ => Err("see the head of tests/load/bare/src/main.rs".into()),
    }
}

fn left(count: &str) -> Result<Left> {
    Ok(Left(Arc::new(AtomicUsize::new(count.parse()?))))
}

async fn publish(publisher: Publisher, left: Left) -> Result<()> {
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, publisher) = (left.clone(), publisher.clone());
        all.spawn(async move {
            while let Some(number) = left.take() {
                publisher.publish(number).await?;
            }
            Ok(())
        });
    }
    measured(begun, all).await
}

/// Runs them to their end, and prints how long that took.
async fn measured(begun: Instant, mut all: JoinSet<Result<()>>) -> Result<()> {
    while let Some(one) = all.join_next().await {
        one??;
    }
    println!("{}", begun.elapsed().as_secs_f64());
    Ok(())
}
