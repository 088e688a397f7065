//! Joins a group, and takes what it gives.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use krafka::admin::DescribeTopicsOptions;
use krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRebalanceListener, OffsetAndMetadata,
    PartitionAssignmentStrategy, TopicPartition,
};
use krafka::{CloseOptions, ConsumerRecord, KrafkaError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Link, after};
use super::names;
use super::taken::{Place, Taken};

/// How long a broker may hold back its answer because there are no messages. krafka waits for the answers of all brokers
/// before it gives out that of any.
const HOLD: Duration = Duration::from_millis(50);
/// How long one call waits for messages. While a member joins anew, krafka may take itself for one that was thrown out, where
/// a call begins just before it has joined (it heeds the answer to a heartbeat of the time before): few calls, few times.
const POLL: Duration = Duration::from_millis(500);
/// How much a broker may answer at once, and of one partition, in bytes.
const FETCH: (i32, i32) = (8 << 20, 256 << 10);
/// How many messages wait in krafka to be taken.
const BUFFER: i32 = 1000;
/// The longest that taking a partition away waits for what of it is out.
const HAND_OVER: Duration = Duration::from_secs(2);
/// The longest that a commit may take.
const COMMIT: Duration = Duration::from_secs(10);
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
        taken.set_trouble(Some(error));
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
        consumer: Arc::default(),
    };
    let us = ours.consumer.clone();
    let most = i32::from(reading.prefetch.max(1));
    let consumer = kafka
        .consumer(reading.group.as_str())
        // A group that nobody was in before begins with what is there: nothing is left out.
        .auto_offset_reset(AutoOffsetReset::Earliest)
        .enable_auto_commit(false)
        .partition_assignment_strategy(PartitionAssignmentStrategy::CooperativeSticky)
        .session_timeout(session)
        .heartbeat_interval(session / 3)
        // How long the others wait for one that does not answer: we ask all the time.
        .max_poll_interval(session)
        .max_poll_records(most)
        .max_buffered_records(most.max(BUFFER))
        .fetch_max_wait(HOLD)
        .fetch_max_bytes(FETCH.0)
        .max_partition_fetch_bytes(FETCH.1)
        .metrics_push(false)
        .rebalance_listener(ours)
        .build();
    let consumer = Arc::new(consumer.await.map_err(shown)?);
    us.get_or_init(|| Arc::downgrade(&consumer));
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
        // Without room, the group must still hear of us, and we of it.
        let poll = if plan.has_room { wait } else { Duration::ZERO };
        match Box::pin(consumer.poll(poll)).await {
            Ok(records) => {
                taken.set_trouble(None);
                arrived(consumer, taken, records).await;
            }
            Err(KrafkaError::Wakeup) => {}
            Err(error) if error.is_fatal() => return ControlFlow::Continue(error.to_string()),
            Err(error) => {
                taken.set_trouble(Some(error.to_string()));
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

/// Commits what is settled.
async fn commit(consumer: &Consumer, taken: &Taken) -> Result<(), String> {
    let offsets = taken.to_commit();
    if offsets.is_empty() {
        return Ok(());
    }
    let named = offsets.iter().map(|((topic, partition), _, offset)| {
        let place = TopicPartition::new(&**topic, *partition);
        (place, OffsetAndMetadata::new(*offset))
    });
    match timeout(
        COMMIT,
        Box::pin(consumer.commit_offsets(named.collect::<Vec<_>>())),
    )
    .await
    {
        Ok(Ok(())) => {
            taken.note_committed(&offsets);
            Ok(())
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the broker did not answer in time".to_owned()),
    }
}

async fn leave(consumer: &Consumer, taken: &Taken) {
    if let Err(error) = commit(consumer, taken).await {
        tracing::debug!(
            error,
            "the last that was settled could not be committed: it comes again"
        );
    }
    let options = CloseOptions::new().timeout(LEAVE);
    if let Err(error) = consumer.close_with(options).await {
        tracing::debug!(%error, "the group was not left in order: it finds out by itself");
    }
}

/// Hears which partitions are ours.
struct Ours {
    taken: Arc<Taken>,
    consumer: Arc<OnceLock<Weak<Consumer>>>,
}

impl ConsumerRebalanceListener for Ours {
    async fn on_partitions_assigned(&self, partitions: &[TopicPartition]) {
        self.taken.assigned(partitions);
    }

    async fn on_partitions_revoked(&self, partitions: &[TopicPartition]) {
        // What is out and settled soon does not come twice.
        let mut changes = self.taken.changes();
        let handed_over =
            async { while self.taken.withhold(partitions) && changes.changed().await.is_ok() {} };
        let _in_time = timeout(HAND_OVER, handed_over).await;
        if let Some(consumer) = self.consumer.get().and_then(Weak::upgrade)
            && let Err(error) = commit(&consumer, &self.taken).await
        {
            tracing::debug!(
                error,
                "what is settled of a partition that goes comes again"
            );
        }
        self.taken.forget(partitions);
    }

    async fn on_partitions_lost(&self, partitions: &[TopicPartition]) {
        self.taken.forget(partitions);
    }
}
