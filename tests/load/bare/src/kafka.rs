//! Kafka by way of krafka alone: one producer, or one member of a group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use krafka::consumer::{AutoOffsetReset, Consumer};
use krafka::producer::Producer;
use krafka::{ConsumerRecord, Kafka, Record};
use tokio::sync::mpsc;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;

use crate::http::Caller;
use crate::{AT_ONCE, BODY, Result, measured};

/// How long one call waits for messages, and how long a broker may hold back its answer because there are none, which is
/// what the proxy asks for: the library waits for the answers of all brokers before it gives out that of any.
const POLL: Duration = Duration::from_millis(500);
const HOLD: Duration = Duration::from_millis(50);

async fn open(url: &str) -> Result<Kafka> {
    let servers = url
        .strip_prefix("kafka://")
        .ok_or("the URL has no scheme")?;
    Ok(Kafka::builder(servers).connect().await?)
}

#[derive(Clone)]
pub struct Publisher {
    // Its end would end the producer.
    _kafka: Kafka,
    producer: Arc<Producer>,
    topic: String,
}

impl Publisher {
    pub async fn open(url: &str, topic: &str) -> Result<Publisher> {
        let kafka = open(url).await?;
        let producer = kafka.producer().linger(Duration::ZERO).build().await?;
        Ok(Publisher {
            _kafka: kafka,
            producer: Arc::new(producer),
            topic: topic.to_owned(),
        })
    }

    pub async fn publish(&self, number: usize) -> Result<()> {
        let record = Record::new(self.topic.as_str(), BODY.to_vec()).key(number.to_string());
        let stored = self.producer.enqueue(record).await?.await?;
        if stored.is_persisted() {
            return Ok(());
        }
        Err("not stored".into())
    }
}

/// A record, and who waits until it is settled.
type Given = (ConsumerRecord, oneshot::Sender<()>);

pub async fn consume(url: &str, topic: &str, count: usize, port: u16) -> Result<()> {
    let kafka = open(url).await?;
    let consumer = kafka
        .consumer("bare")
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .fetch_max_wait(HOLD)
        .max_poll_records(AT_ONCE as i32)
        .build()
        .await?;
    consumer.subscribe([topic]).await?;
    let begun = Instant::now();
    let (give, given) = mpsc::channel(AT_ONCE);
    let given = Arc::new(Mutex::new(given));
    let mut all = JoinSet::new();
    for _ in 0..AT_ONCE {
        all.spawn(call(given.clone(), port));
    }
    read(&consumer, count, give).await?;
    measured(begun, all).await
}

/// Gives `count` messages to the callers, and commits each batch when all of it is settled.
async fn read(consumer: &Consumer, mut count: usize, give: mpsc::Sender<Given>) -> Result<()> {
    while count > 0 {
        let mut waiting = Vec::new();
        for record in consumer.poll(POLL).await?.into_iter().take(count) {
            let (settled, wait) = oneshot::channel();
            give.send((record, settled)).await?;
            waiting.push(wait);
        }
        count -= waiting.len();
        for wait in waiting {
            wait.await?;
        }
        consumer.commit().await?;
    }
    Ok(())
}

async fn call(given: Arc<Mutex<mpsc::Receiver<Given>>>, port: u16) -> Result<()> {
    let mut caller = Caller::connect(port, "/").await?;
    loop {
        let next = given.lock().await.recv().await;
        let Some((record, settled)) = next else {
            return Ok(());
        };
        caller
            .post(record.value.as_deref().unwrap_or_default())
            .await?;
        // Whoever waited has ended for a reason of its own.
        let _nobody = settled.send(());
    }
}
