//! The dead letters of a group, and how many messages wait for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use krafka::admin::{
    AdminClient, AlterConsumerGroupOffsetsOptions, DescribeTopicsOptions,
    ListConsumerGroupOffsetsOptions, ListOffsetsOptions, OffsetSpec, TopicPartition,
};
use krafka::consumer::Consumer;
use krafka::{CloseOptions, ConsumerRecord, KrafkaError};
use tokio::time::{Instant, timeout};

use super::link::{Cluster, Link};
use super::names;
use super::publish::publish_here;
use super::record::{self, Notes};
use crate::broker::DeadLetter;

/// The longest that reading dead letters may take.
const READ: Duration = Duration::from_secs(20);
/// The longest that a broker may hold back an answer.
const POLL: Duration = Duration::from_millis(500);
/// Dead letters are read until they have so many bytes.
const MOST_BYTES: usize = 16 << 20;
/// How much a broker may answer at once, and of one partition, in bytes.
const FETCH: (i32, i32) = (8 << 20, 1 << 20);

/// How many messages of a topic a group has not settled.
pub(super) async fn waiting(link: &Link, topic: &str, group: &str) -> Result<u64, String> {
    let cluster = link.cluster()?;
    let admin = cluster.kafka.admin();
    let ranges = ranges(&admin, topic, group, link.settings.ask()).await?;
    let left = ranges.into_values().map(|range| range.end - range.start);
    Ok(left.filter_map(|left| u64::try_from(left).ok()).sum())
}

/// The first `limit` dead letters.
pub(super) async fn read(
    link: &Link,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<Vec<DeadLetter>, String> {
    let cluster = link.cluster()?;
    let letters = first(link, &cluster, topic, group, limit).await?;
    Ok(letters.iter().map(letter).collect())
}

/// Puts the first `limit` dead letters back to their topic, for this group.
pub(super) async fn replay(
    link: &Link,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<usize, String> {
    let cluster = link.cluster()?;
    let notes = Notes {
        group: Some(group.to_owned()),
        ..Notes::default()
    };
    let mut replayed = 0;
    loop {
        let letters = first(link, &cluster, topic, group, limit - replayed).await?;
        let mut moved = 0;
        let mut failed = None;
        for record in &letters {
            if let Err(refusal) = publish_here(link, record::copy(record, topic, &notes)).await {
                failed = Some(refusal.why().to_owned());
                break;
            }
            moved += 1;
        }
        pass(link, &cluster, group, &letters[..moved]).await?;
        replayed += moved;
        match failed {
            Some(why) if replayed == 0 => {
                return Err(format!("a message could not be put back: {why}"));
            }
            None if moved > 0 && replayed < limit => {}
            _ => return Ok(replayed),
        }
    }
}

/// Passes over the first `limit` dead letters. They are in their topic for as long as that keeps them.
pub(super) async fn discard(
    link: &Link,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<usize, String> {
    let cluster = link.cluster()?;
    let mut passed = 0;
    loop {
        let letters = first(link, &cluster, topic, group, limit - passed).await?;
        pass(link, &cluster, group, &letters).await?;
        passed += letters.len();
        if letters.is_empty() || passed >= limit {
            return Ok(passed);
        }
    }
}

fn letter(record: &ConsumerRecord) -> DeadLetter {
    let notes = record::notes(record);
    DeadLetter {
        message: record::message(record),
        reason: notes.reason.unwrap_or_else(|| "unknown".to_owned()),
        attempts: notes.attempts.unwrap_or(0),
        since: notes.since,
    }
}

/// The first dead letters that a group has not passed over, in the order in which they came: so many, or as many as have
/// [`MOST_BYTES`], and at least one where there is one.
async fn first(
    link: &Link,
    cluster: &Cluster,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<Vec<ConsumerRecord>, String> {
    let dead = names::dead(topic);
    let admin = cluster.kafka.admin();
    let mut ranges = ranges(&admin, &dead, &names::replay(group), link.settings.ask()).await?;
    ranges.retain(|_, range| range.start < range.end);
    if ranges.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let starts = ranges.iter().map(|(partition, range)| {
        let place = TopicPartition::new(dead.as_str(), *partition);
        (place, range.start)
    });
    let consumer = cluster.kafka.consumer_without_group();
    let consumer = consumer
        .initial_offsets(starts.collect::<Vec<_>>())
        .fetch_max_wait(POLL)
        .fetch_max_bytes(FETCH.0)
        .max_partition_fetch_bytes(FETCH.1)
        .metrics_push(false)
        .build();
    let consumer = consumer.await.map_err(shown)?;
    let read = timeout(
        READ,
        Box::pin(collect(&consumer, &dead, group, ranges, limit)),
    )
    .await;
    let _closed = consumer.close_with(CloseOptions::new().timeout(POLL)).await;
    let queues = read.map_err(|_| "the brokers do not answer".to_owned())??;
    Ok(merge(queues, limit))
}

/// Up to `limit` letters of each partition, and no more than are its share of what is kept in memory.
async fn collect(
    consumer: &Consumer,
    dead: &str,
    group: &str,
    mut ranges: BTreeMap<i32, Range>,
    limit: usize,
) -> Result<Vec<VecDeque<ConsumerRecord>>, String> {
    let share = MOST_BYTES / ranges.len().max(1);
    let mut sizes: BTreeMap<i32, usize> = BTreeMap::new();
    let partitions = ranges.keys().copied().collect();
    consumer.assign(dead, partitions).await.map_err(shown)?;
    let mut queues: BTreeMap<i32, VecDeque<ConsumerRecord>> = BTreeMap::new();
    let deadline = Instant::now() + READ;
    while !ranges.is_empty() && Instant::now() < deadline {
        for record in consumer.poll(POLL).await.map_err(shown)? {
            let Some(range) = ranges.get(&record.partition) else {
                continue;
            };
            let (partition, is_last) = (record.partition, record.offset + 1 >= range.end);
            let queue = queues.entry(partition).or_default();
            let of = record::notes(&record).group;
            let size = sizes.entry(partition).or_default();
            if of.is_none_or(|of| of == group) {
                *size += record.value.as_ref().map_or(0, |value| value.len());
                queue.push_back(record);
            }
            if is_last || queue.len() >= limit || *size >= share {
                ranges.remove(&partition);
                consumer.pause(dead, &[partition]).await;
            }
        }
        for (partition, range) in std::mem::take(&mut ranges) {
            // What ends with something that is no message (a transaction's mark) has no last record.
            let at = consumer.position(dead, partition).await;
            if at.is_none_or(|at| at < range.end) {
                ranges.insert(partition, range);
            }
        }
    }
    Ok(queues.into_values().collect())
}

/// The first `limit` of all, those of each partition in their order.
fn merge(mut queues: Vec<VecDeque<ConsumerRecord>>, limit: usize) -> Vec<ConsumerRecord> {
    let mut merged = Vec::new();
    while merged.len() < limit {
        let firsts = queues.iter_mut().filter(|queue| !queue.is_empty());
        let earliest = firsts.min_by_key(|queue| queue.front().map(since));
        match earliest.and_then(VecDeque::pop_front) {
            Some(record) => merged.push(record),
            None => break,
        }
    }
    merged
}

fn since(record: &ConsumerRecord) -> SystemTime {
    let written = Duration::from_millis(record.timestamp.try_into().unwrap_or(0));
    let noted = record::notes(record).since;
    noted.unwrap_or_else(|| UNIX_EPOCH + written)
}

/// Notes that the group is done with these.
async fn pass(
    link: &Link,
    cluster: &Cluster,
    group: &str,
    letters: &[ConsumerRecord],
) -> Result<(), String> {
    let mut offsets = HashMap::new();
    for record in letters {
        let place = TopicPartition::new(&*record.topic, record.partition);
        offsets.insert(place, record.offset + 1);
    }
    if offsets.is_empty() {
        return Ok(());
    }
    let options = AlterConsumerGroupOffsetsOptions::default().timeout(link.settings.ask());
    let admin = cluster.kafka.admin();
    let passed = admin.alter_consumer_group_offsets(names::replay(group), offsets, options);
    let passed = Box::pin(passed).await.map_err(shown)?;
    let refused = passed.into_values().find_map(Result::err);
    refused.map_or(Ok(()), |error| Err(shown(error)))
}

/// The offsets that a group has not settled, of one partition.
struct Range {
    start: i64,
    end: i64,
}

async fn ranges(
    admin: &AdminClient,
    topic: &str,
    group: &str,
    limit: Duration,
) -> Result<BTreeMap<i32, Range>, String> {
    let options = DescribeTopicsOptions::default().timeout(limit);
    let mut found = Box::pin(admin.describe_topics([topic], options))
        .await
        .map_err(shown)?;
    let found = match found.remove(topic) {
        Some(found) => found.map_err(shown)?,
        None => return Err("the brokers do not answer".to_owned()),
    };
    let places: Vec<TopicPartition> = found
        .partitions
        .iter()
        .map(|partition| TopicPartition::new(topic, partition.partition))
        .collect();
    let ends = offsets(admin, &places, OffsetSpec::Latest, limit).await?;
    let begins = offsets(admin, &places, OffsetSpec::Earliest, limit).await?;
    let options = ListConsumerGroupOffsetsOptions::default().timeout(limit);
    let committed = admin.list_consumer_group_offsets(group, options.partitions(places.clone()));
    let committed = Box::pin(committed).await.map_err(shown)?;
    let mut ranges = BTreeMap::new();
    for place in places {
        let committed = match committed.get(&place) {
            Some(Ok(committed)) => committed.offset,
            Some(Err(error)) => return Err(error.to_string()),
            None => None,
        };
        let (begin, end) = (begins.get(&place), ends.get(&place));
        let (begin, end) = (begin.copied().unwrap_or(0), end.copied().unwrap_or(0));
        let start = committed.unwrap_or(begin).clamp(begin, end.max(begin));
        ranges.insert(place.partition, Range { start, end });
    }
    Ok(ranges)
}

/// The first or the last offset of each of these partitions.
pub(super) async fn offsets(
    admin: &AdminClient,
    places: &[TopicPartition],
    spec: OffsetSpec,
    limit: Duration,
) -> Result<HashMap<TopicPartition, i64>, String> {
    let options = ListOffsetsOptions::default().timeout(limit);
    let asked = places.iter().map(|place| (place.clone(), spec));
    let listed = Box::pin(admin.list_offsets(asked, options))
        .await
        .map_err(shown)?;
    let listed = listed.into_iter();
    listed
        .map(|(place, listed)| Ok((place, listed.map_err(shown)?.offset)))
        .collect()
}

fn shown(error: KrafkaError) -> String {
    error.to_string()
}
