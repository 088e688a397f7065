//! Reads the partitions that the group has given to us.
//!
//! A consumer of krafka waits for the answers of all brokers before it gives out that of any, and asks none of them again
//! before it has nothing left of any. So there is one for each broker, in no group, and the member of the group reads nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use krafka::consumer::{AutoOffsetReset, Consumer, TopicPartition};
use krafka::{CloseOptions, ConsumerRecord, Kafka, KrafkaError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::held::{Place, Term};
use super::hold::Hold;
use super::taken::Taken;

/// How much all brokers may answer at once, what one may at the least, and what it may of one partition, in bytes.
const FETCH: (i32, i32, i32) = (8 << 20, 1 << 20, 256 << 10);
/// How many messages of all brokers wait in krafka to be taken.
const BUFFER: i32 = 1000;
/// More than an answer is held back.
const LONGEST: Duration = Duration::from_secs(1);
/// How often to look whether another broker leads a partition.
const LOOK: Duration = Duration::from_secs(1);
/// The wait before trying once more what a broker refused.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest that a broker may take to hear that nothing is read from it any more.
const CLOSE: Duration = Duration::from_secs(1);

/// The broker that leads them, or none where nobody knows it, and partitions.
type Led = BTreeMap<Option<i32>, BTreeSet<Term>>;

/// Reads what is ours by one consumer for each broker.
pub(super) struct Fetching {
    pub kafka: Kafka,
    pub member: Arc<Consumer>,
    pub taken: Arc<Taken>,
    pub prefetch: i32,
    led: Led,
    /// True for the readers of this division when another comes.
    ended: watch::Sender<bool>,
    /// Each gives why it cannot go on.
    readers: JoinSet<Option<String>>,
}

impl Fetching {
    pub fn new(kafka: Kafka, member: Arc<Consumer>, taken: Arc<Taken>, prefetch: i32) -> Self {
        Fetching {
            kafka,
            member,
            taken,
            prefetch,
            led: Led::new(),
            ended: watch::Sender::new(false),
            readers: JoinSet::new(),
        }
    }

    /// Reads, until that cannot go on, because of this.
    pub async fn go_on(&mut self) -> String {
        let taken = self.taken.clone();
        loop {
            let divided = taken.divided.notified();
            self.find_starts().await;
            let led = self.led().await;
            if led != self.led {
                self.divide(led).await;
            }
            tokio::select! {
                () = divided => {}
                () = sleep(LOOK) => {}
                Some(ended) = self.readers.join_next() => match ended {
                    Ok(None) => {}
                    Ok(Some(error)) => return error,
                    Err(_) => return "reading has ended".to_owned(),
                },
            }
        }
    }

    /// Ends all readers.
    pub async fn end(mut self) {
        self.ended.send_replace(true);
        let _in_time = timeout(CLOSE, async {
            while self.readers.join_next().await.is_some() {}
        })
        .await;
    }

    /// Finds out where the group has us begin.
    async fn find_starts(&self) {
        let unknown = self.taken.without_start();
        let found = unknown.into_iter().map(|(place, term)| async move {
            let found = self.member.position(&place.0, place.1).await;
            if let Some(offset) = found {
                self.taken.start(&place, term, offset);
            }
        });
        futures_util::future::join_all(found).await;
    }

    /// Which broker leads which of our partitions.
    async fn led(&self) -> Led {
        let ours = self.taken.ours();
        let known = if ours.is_empty() {
            Vec::new()
        } else {
            let known = self.member.fetch_metadata(None).await;
            known.map(|known| known.topics).unwrap_or_default()
        };
        let topics: HashMap<&str, _> = known.iter().map(|topic| (&*topic.name, topic)).collect();
        let mut led = Led::new();
        for (place, term) in ours {
            let leader = topics
                .get(&*place.0)
                .and_then(|topic| topic.leader(place.1));
            led.entry(leader).or_default().insert((place, term));
        }
        led
    }

    /// Has other readers go on in place of those that are there.
    async fn divide(&mut self, led: Led) {
        self.ended.send_replace(true);
        self.ended = watch::Sender::new(false);
        let brokers = i32::try_from(led.len()).unwrap_or(i32::MAX).max(1);
        for terms in led.values() {
            match self.reader(terms, brokers).await {
                Ok(consumer) => {
                    let reader = Reader {
                        consumer,
                        terms: terms.iter().cloned().collect(),
                        taken: self.taken.clone(),
                    };
                    self.readers.spawn(reader.run(self.ended.subscribe()));
                }
                Err(error) => {
                    self.taken.set_trouble(error.to_string());
                    // It is tried anew when it is looked at the next time.
                    self.led = Led::new();
                    return;
                }
            }
        }
        self.led = led;
    }

    /// A consumer that reads these partitions from where they were left.
    async fn reader(&self, terms: &BTreeSet<Term>, brokers: i32) -> Result<Consumer, KrafkaError> {
        let starts = terms.iter().filter_map(|((topic, partition), term)| {
            let place = (topic.clone(), *partition);
            let next = self.taken.next(&place, *term)?;
            Some((TopicPartition::new(&**topic, *partition), next))
        });
        let starts: Vec<_> = starts.collect();
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (place, _) in &starts {
            topics
                .entry(&place.topic)
                .or_default()
                .push(place.partition);
        }
        let consumer = self.kafka.consumer_without_group();
        let consumer = consumer
            .initial_offsets(starts.iter().cloned())
            // What its topic does not keep any more is passed over.
            .auto_offset_reset(AutoOffsetReset::Earliest)
            .max_poll_records(self.prefetch)
            .max_buffered_records((BUFFER / brokers).max(self.prefetch))
            // How long a broker holds back its answer is said anew for each.
            .fetch_max_wait(LONGEST)
            .idle_poll_backoff(LONGEST)
            .fetch_max_bytes((FETCH.0 / brokers).max(FETCH.1))
            .max_partition_fetch_bytes(FETCH.2)
            .metrics_push(false)
            .build()
            .await?;
        for (topic, partitions) in topics {
            consumer.assign(topic, partitions).await?;
        }
        Ok(consumer)
    }
}

/// Reads the partitions that one broker leads.
struct Reader {
    consumer: Consumer,
    terms: HashMap<Place, u64>,
    taken: Arc<Taken>,
}

impl Reader {
    async fn run(self, mut ended: watch::Receiver<bool>) -> Option<String> {
        let end = tokio::select! {
            error = self.read() => Some(error),
            _changed = ended.wait_for(|ended| *ended) => None,
        };
        let options = CloseOptions::new().timeout(CLOSE);
        if let Err(error) = self.consumer.close_with(options).await {
            tracing::debug!(%error, "a broker was not told that nothing is read from it any more");
        }
        end
    }

    async fn read(&self) -> String {
        let mut paused = BTreeSet::new();
        let mut hold = Hold::new();
        loop {
            self.taken.has_room().await;
            let plan = self.taken.plan(&self.terms);
            self.pause(&mut paused, plan.paused).await;
            let until = plan
                .next
                .map(|due| due.saturating_duration_since(Instant::now()));
            let wait = hold.now();
            let wait = until.map_or(wait, |until| until.clamp(Duration::from_millis(1), wait));
            match Box::pin(self.consumer.poll(wait)).await {
                Ok(records) => {
                    if !records.is_empty() {
                        hold.came();
                    }
                    self.taken.goes_well();
                    self.arrived(records).await;
                }
                Err(error) if error.is_fatal() => return error.to_string(),
                Err(error) => {
                    self.taken.set_trouble(error.to_string());
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// Has exactly `wanted` paused.
    async fn pause(&self, paused: &mut BTreeSet<Place>, wanted: BTreeSet<Place>) {
        for (topic, partition) in wanted.difference(paused) {
            self.consumer.pause(topic, &[*partition]).await;
        }
        for (topic, partition) in paused.difference(&wanted) {
            self.consumer.resume(topic, &[*partition]).await;
        }
        *paused = wanted;
    }

    async fn arrived(&self, records: Vec<ConsumerRecord>) {
        let mut early: BTreeSet<Place> = BTreeSet::new();
        for record in records {
            let place = (record.topic.clone(), record.partition);
            let Some(term) = self.terms.get(&place) else {
                continue;
            };
            if early.contains(&place) {
                continue;
            }
            let offset = record.offset;
            if !self.taken.arrived(record, *term) {
                // Read again when it is due, and what is behind it: nothing of it is kept in memory.
                if let Err(error) = self.consumer.seek(&place.0, place.1, offset).await {
                    tracing::debug!(%error, "a partition could not be left alone");
                }
                early.insert(place);
            }
        }
    }
}
