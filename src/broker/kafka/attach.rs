//! Joins a group, of which it is told what is ours, and tells it what is settled.
//!
//! The group divides its partitions by the protocol in which everybody hands over all of them before they are divided anew.
//! By the other, in which members go on with what they keep, krafka goes on with its heartbeats as well while it joins: one
//! that waits at the broker behind the request to join is answered as one of the generation before, and the member takes
//! itself for thrown out, with all that it has under way.

use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use krafka::admin::DescribeTopicsOptions;
use krafka::consumer::{
    AutoOffsetReset, Consumer, OffsetAndMetadata, PartitionAssignmentStrategy, TopicPartition,
};
use krafka::error::ErrorCode;
use krafka::{CloseOptions, Kafka, KrafkaError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::fetch::Fetching;
use super::held::Commit;
use super::link::{Link, after};
use super::names;
use super::ours::{COMMIT, HAND_OVER, Ours};
use super::taken::Taken;

/// How long one call waits for what the group has to say. No messages come by it.
const POLL: Duration = Duration::from_millis(100);
/// How long one call waits for the group to be divided anew. krafka heeds the answer to a heartbeat of the time before where
/// a call begins just before it has joined: few calls, few times.
const JOINING: Duration = Duration::from_secs(2);
/// How long a member that leaves waits for the group to let it in: one that has gone by then, krafka has join regardless, and
/// the others wait for what it does not say.
const JOINED: Duration = Duration::from_secs(5);
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
            Ok((kafka, consumer)) => {
                failures = 0;
                let prefetch = i32::from(reading.prefetch.max(1));
                let fetching = Fetching::new(kafka, consumer.clone(), taken.clone(), prefetch);
                let serving = serve(&consumer, fetching, &taken, session, &mut ended);
                let end = Box::pin(serving).await;
                if end.is_break() {
                    let _in_time = timeout(JOINED, Box::pin(join_on(&consumer, &taken))).await;
                }
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
            () = taken.over() => {}
        }
    }
}

async fn join(
    link: &Link,
    reading: &Reading,
    taken: &Arc<Taken>,
) -> Result<(Kafka, Arc<Consumer>), String> {
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
    let member = Arc::new(OnceLock::new());
    let ours = Ours {
        taken: taken.clone(),
        kafka: kafka.clone(),
        group: reading.group.clone(),
        limit: link.settings.ask(),
        member: member.clone(),
    };
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
        .idle_poll_backoff(POLL)
        .metrics_push(false)
        .rebalance_listener(ours)
        .build();
    let consumer = Arc::new(consumer.await.map_err(shown)?);
    let _set_once = member.set(Arc::downgrade(&consumer));
    let topics = names::read(&reading.topic, link.topics.get(&reading.topic));
    match timeout(COMMIT, consumer.subscribe(topics)).await {
        Ok(subscribed) => subscribed.map_err(shown)?,
        Err(_) => return Err("the brokers do not answer".to_owned()),
    }
    Ok((kafka, consumer))
}

/// Takes messages and commits what is settled, until the end or until the group has to be joined anew, because of this.
async fn serve(
    consumer: &Consumer,
    mut fetching: Fetching,
    taken: &Taken,
    session: Duration,
    ended: &mut watch::Receiver<bool>,
) -> ControlFlow<(), String> {
    let end = {
        let mut committing = pin!(commit_always(consumer, taken, session));
        let mut staying = pin!(stay(consumer, taken));
        tokio::select! {
            end = &mut staying => end,
            error = &mut committing => ControlFlow::Continue(error),
            error = Box::pin(fetching.go_on()) => ControlFlow::Continue(error),
            _changed = ended.wait_for(|ended| *ended) => ControlFlow::Break(()),
        }
    };
    fetching.end().await;
    end
}

/// Does what a member of the group has to.
async fn stay(consumer: &Consumer, taken: &Taken) -> ControlFlow<(), String> {
    while !taken.is_over() {
        let wait = if taken.is_handing_over() {
            JOINING
        } else {
            POLL
        };
        match Box::pin(consumer.poll(wait)).await {
            Ok(_) => taken.goes_well(),
            Err(error) if error.is_fatal() => return ControlFlow::Continue(error.to_string()),
            Err(error) => {
                taken.set_trouble(error.to_string());
                sleep(AGAIN).await;
            }
        }
    }
    ControlFlow::Break(())
}

/// Completes when the group has let us in.
async fn join_on(consumer: &Consumer, taken: &Taken) {
    while !taken.is_in_group() {
        if Box::pin(consumer.poll(POLL)).await.is_err() {
            return;
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
