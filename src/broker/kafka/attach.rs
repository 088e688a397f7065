//! Joins a group, and takes what it gives.
//!
//! The group divides its partitions by the protocol in which everybody hands over all of them before they are divided anew.
//! By the other, in which members go on with what they keep, krafka goes on with its heartbeats as well while it joins: one
//! that waits at the broker behind the request to join is answered as one of the generation before, and the member takes
//! itself for thrown out, with all that it has under way.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use krafka::admin::DescribeTopicsOptions;
use krafka::consumer::{
    AutoOffsetReset, Consumer, OffsetAndMetadata, PartitionAssignmentStrategy, TopicPartition,
};
use krafka::error::ErrorCode;
use krafka::{CloseOptions, ConsumerRecord, KrafkaError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::held::{Commit, Place};
use super::link::{Link, after};
use super::names;
use super::ours::{COMMIT, HAND_OVER, Ours};
use super::taken::Taken;

/// How long a broker may hold back its answer because there are no messages. krafka waits for the answers of all brokers
/// before it gives out that of any.
const HOLD: Duration = Duration::from_millis(50);
/// How long one call waits for messages.
const POLL: Duration = Duration::from_millis(500);
/// How long one call waits for the group to be divided anew. krafka heeds the answer to a heartbeat of the time before where
/// a call begins just before it has joined: few calls, few times.
const JOINING: Duration = Duration::from_secs(2);
/// How much a broker may answer at once, and of one partition, in bytes.
const FETCH: (i32, i32) = (8 << 20, 256 << 10);
/// How many messages wait in krafka to be taken.
const BUFFER: i32 = 1000;
/// How long a member that leaves waits for what is out: it has waited already where the program ends.
const LAST: Duration = Duration::from_secs(2);
/// The wait before trying once more what a broker refused.
const AGAIN: Duration = Duration::from_millis(200);
/// The longest that leaving a group may take.
const LEAVE: Duration = Duration::from_secs(5);

/// What is consumed.
pub(super) struct Reading {
    pub topic: String,
    pub group: String,
    pub prefetch: u16,
}

/// Is a member of the group until `taken` is over or `ended` comes.
pub(super) async fn attach(
    link: Arc<Link>,
    reading: Reading,
    taken: Arc<Taken>,
    mut ended: watch::Receiver<bool>,
) {
    let session = link.settings.session();
    let mut failures = 0;
    while !taken.is_over() && !*ended.borrow_and_update() {
        let error = match Box::pin(join(&link, &reading, &taken)).await {
            Ok(consumer) => {
                failures = 0;
                let end = Box::pin(serve(&consumer, &taken, session, &mut ended)).await;
                Box::pin(leave(&consumer, &taken)).await;
                end
            }
            Err(error) => ControlFlow::Continue(error),
        };
        taken.forget_all();
        let ControlFlow::Continue(error) = error else {
            return;
        };
        taken.set_trouble(error);
        let wait = after(failures);
        failures = failures.saturating_add(1);
        tokio::select! {
            () = sleep(wait) => {}
            _changed = ended.changed() => {}
            () = taken.room.notified(), if taken.is_over() => {}
        }
    }
}

async fn join(link: &Link, reading: &Reading, taken: &Arc<Taken>) -> Result<Arc<Consumer>, String> {
    let shown = |error: KrafkaError| error.to_string();
    let name = format!("outrigger {}", link.name);
    let kafka = link.settings.connect_member(&name).await.map_err(shown)?;
    let options = DescribeTopicsOptions::default().timeout(link.settings.ask());
    let admin = kafka.admin();
    let found = admin.describe_topics([&reading.topic], options).await;
    if let Some(Err(error)) = found.map_err(shown)?.remove(&reading.topic) {
        return Err(error.to_string());
    }
    let session = link.settings.session();
    let ours = Ours {
        taken: taken.clone(),
        kafka: kafka.clone(),
        group: reading.group.clone(),
        limit: link.settings.ask(),
    };
    let most = i32::from(reading.prefetch.max(1));
    let consumer = kafka
        .consumer(reading.group.as_str())
        // A group that nobody was in before begins with what is there: nothing is left out.
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        // The second is what other clients have in common with us.
        .partition_assignment_strategies(vec![
            PartitionAssignmentStrategy::RoundRobin,
            PartitionAssignmentStrategy::Range,
        ])
        .session_timeout(session)
        .heartbeat_interval(session / 3)
        // How long the others wait for one that hands over.
        .max_poll_interval(HAND_OVER + COMMIT + session)
        .max_poll_records(most)
        .max_buffered_records(most.max(BUFFER))
        .fetch_max_wait(HOLD)
        .fetch_max_bytes(FETCH.0)
        .max_partition_fetch_bytes(FETCH.1)
        .metrics_push(false)
        .rebalance_listener(ours)
        .build();
    let consumer = Arc::new(consumer.await.map_err(shown)?);
    let topics = names::read(&reading.topic, link.topics.get(&reading.topic));
    match timeout(COMMIT, consumer.subscribe(topics)).await {
        Ok(subscribed) => subscribed.map_err(shown)?,
        Err(_) => return Err("the brokers do not answer".to_owned()),
    }
    Ok(consumer)
}

/// Takes messages and commits what is settled, until the end or until the group has to be joined anew, because of this.
async fn serve(
    consumer: &Arc<Consumer>,
    taken: &Taken,
    session: Duration,
    ended: &mut watch::Receiver<bool>,
) -> ControlFlow<(), String> {
    let mut committing = pin!(commit_always(consumer, taken, session));
    let mut reading = pin!(read(consumer, taken));
    tokio::select! {
        end = &mut reading => end,
        error = &mut committing => ControlFlow::Continue(error),
        _changed = ended.wait_for(|ended| *ended) => ControlFlow::Break(()),
    }
}

async fn read(consumer: &Consumer, taken: &Taken) -> ControlFlow<(), String> {
    let mut paused = HashMap::new();
    loop {
        if taken.is_over() {
            return ControlFlow::Break(());
        }
        let plan = taken.plan();
        pause(consumer, &mut paused, plan.paused).await;
        let until = plan
            .next
            .map(|due| due.saturating_duration_since(Instant::now()));
        let wait = until.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL);
        let poll = if taken.is_handing_over() {
            JOINING
        } else if plan.has_room {
            wait
        } else {
            // The group must still hear of us, and we of it.
            Duration::ZERO
        };
        match Box::pin(consumer.poll(poll)).await {
            Ok(records) => {
                taken.goes_well();
                arrived(consumer, taken, records).await;
            }
            Err(error) if error.is_fatal() => return ControlFlow::Continue(error.to_string()),
            Err(error) => {
                taken.set_trouble(error.to_string());
                sleep(AGAIN).await;
            }
        }
        if !plan.has_room {
            let _room_in_time = timeout(wait, taken.room.notified()).await;
        }
    }
}

/// Has exactly `wanted` paused. A partition that was ours in another term is not paused any more.
async fn pause(consumer: &Consumer, paused: &mut HashMap<Place, u64>, wanted: HashMap<Place, u64>) {
    for ((topic, partition), term) in &wanted {
        if paused.get(&(topic.clone(), *partition)) != Some(term) {
            consumer.pause(topic, &[*partition]).await;
        }
    }
    for (topic, partition) in paused.keys() {
        if !wanted.contains_key(&(topic.clone(), *partition)) {
            consumer.resume(topic, &[*partition]).await;
        }
    }
    *paused = wanted;
}

async fn arrived(consumer: &Consumer, taken: &Taken, records: Vec<ConsumerRecord>) {
    let mut early: HashSet<Place> = HashSet::new();
    for record in records {
        let place = (record.topic.clone(), record.partition);
        if early.contains(&place) {
            continue;
        }
        let offset = record.offset;
        if !taken.arrived(record) {
            // Read again when it is due, and what is behind it: nothing of it is kept in memory.
            if let Err(error) = consumer.seek(&place.0, place.1, offset).await {
                tracing::debug!(%error, "a partition was taken away before it could be left alone");
            }
            early.insert(place);
        }
    }
}

/// Commits what is settled, until that has failed for as long as the group waits for a member: it has forgotten us then, and
/// says why.
async fn commit_always(consumer: &Consumer, taken: &Taken, session: Duration) -> String {
    loop {
        taken.settled.notified().await;
        let began = Instant::now();
        while let Err(error) = commit(consumer, taken).await {
            if began.elapsed() > session {
                return format!("what is settled cannot be committed: {error}");
            }
            tracing::debug!(error, "what is settled could not be committed yet");
            sleep(AGAIN).await;
        }
    }
}

/// Tells the group what it does not know.
async fn commit(consumer: &Consumer, taken: &Taken) -> Result<(), String> {
    let commits = taken.to_commit();
    if commits.is_empty() {
        return Ok(());
    }
    let named = commits.iter().map(|Commit { place, mark, .. }| {
        let (topic, partition) = place;
        let noted = OffsetAndMetadata::with_metadata(mark.settled, mark.note());
        (TopicPartition::new(&**topic, *partition), noted)
    });
    let committed = consumer.commit_offsets(named.collect::<Vec<_>>());
    match timeout(COMMIT, Box::pin(committed)).await {
        Ok(Ok(())) => {
            taken.note_committed(&commits);
            Ok(())
        }
        Ok(Err(error)) => {
            if is_out(&error) {
                taken.cannot_commit();
            }
            Err(error.to_string())
        }
        Err(_) => Err("the broker did not answer in time".to_owned()),
    }
}

/// Whether the group takes nothing of a member that has not joined anew.
fn is_out(error: &KrafkaError) -> bool {
    matches!(
        error,
        KrafkaError::Broker {
            code: ErrorCode::RebalanceInProgress
                | ErrorCode::IllegalGeneration
                | ErrorCode::UnknownMemberId,
            ..
        }
    )
}

async fn leave(consumer: &Consumer, taken: &Taken) {
    let _in_time = timeout(LAST, taken.hand_over()).await;
    if let Err(error) = commit(consumer, taken).await {
        tracing::debug!(
            error,
            "the last that was settled could not be committed: it comes again"
        );
    }
    taken.forget_all();
    let options = CloseOptions::new().timeout(LEAVE);
    if let Err(error) = consumer.close_with(options).await {
        tracing::debug!(%error, "the group was not left in order: it finds out by itself");
    }
}
