//! What a consumer has taken: what is ready to be given out, what is out, and what of it is settled.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use krafka::ConsumerRecord;
use krafka::consumer::TopicPartition;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::held::{Commit, Held, Inside, Place, Waiter, taken_away};
use super::partition::Partition;
use super::record::{self, Notes};
use crate::broker::Lost;

/// So many more records than there are, the group is told, may be given out: at the most so many are said to come again
/// that nobody has seen, where a member is gone without a word.
const AHEAD: u16 = 100;

/// Tells when a record is committed, or why not.
pub(super) type Committed = oneshot::Receiver<Result<(), Lost>>;

/// What a consumer has taken.
pub(super) struct Taken {
    group: String,
    pub prefetch: usize,
    inside: Mutex<Inside>,
    /// Something can be given out.
    pub ready: Notify,
    /// There may be room for more.
    pub room: Notify,
    /// Something can be committed.
    pub settled: Notify,
    /// Partitions were given to us, or taken away.
    pub divided: Notify,
    /// Counts what is settled, committed or comes back.
    changes: watch::Sender<u64>,
}

impl Taken {
    pub fn new(group: &str, prefetch: u16) -> Self {
        Taken {
            group: group.to_owned(),
            prefetch: usize::from(prefetch.max(1)),
            inside: Mutex::new(Inside {
                trouble: Some("it has not attached yet".to_owned()),
                ..Inside::default()
            }),
            ready: Notify::new(),
            room: Notify::new(),
            settled: Notify::new(),
            divided: Notify::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// The next record to give out, which is out then.
    pub fn give(&self) -> Option<Held> {
        let mut inside = self.inside();
        if inside.gives_nothing() || inside.out() >= self.prefetch {
            return None;
        }
        let mut ready = inside.ready.iter();
        let next = ready.position(|held| inside.may_give(held))?;
        let held = inside.ready.remove(next)?;
        if let Some(partition) = inside.ours(&held) {
            partition.give(held.record.offset);
        }
        *inside.out.entry(held.term).or_default() += 1;
        Some(held)
    }

    /// A record is not out any more and not settled: it is given out again, while its partition is ours.
    pub fn take_back(&self, mut held: Held) {
        let mut inside = self.inside();
        inside.came_back(held.term);
        if inside.ours(&held).is_some() && !inside.is_closing {
            held.again = true;
            inside.ready.push_front(held);
        }
        drop(inside);
        self.tell();
    }

    /// A record is settled. Gives what tells when that is committed, or None when it is not before those before it are
    /// settled.
    ///
    /// # Errors
    /// When its partition is not ours any more.
    pub fn settle(&self, held: &Held) -> Result<Option<Committed>, Lost> {
        let (offset, term) = (held.record.offset, held.term);
        let mut inside = self.inside();
        inside.came_back(term);
        let settled = match inside.ours(held) {
            Some(partition) => {
                partition.settle(offset);
                Ok(partition.is_settled_to(offset))
            }
            None => Err(taken_away()),
        };
        let settled = settled.map(|is_next| {
            let (tell, committed) = oneshot::channel();
            is_next.then(|| {
                inside.waiters.push(Waiter { term, offset, tell });
                committed
            })
        });
        drop(inside);
        self.settled.notify_one();
        self.tell();
        settled
    }

    /// Whether the partition of a record that is out is still ours.
    pub fn is_ours(&self, held: &Held) -> bool {
        self.inside().ours(held).is_some()
    }

    /// A record came that was read in this term. False when it is not due yet: its partition is left alone until then, and read
    /// from it again.
    pub fn arrived(&self, record: ConsumerRecord, term: u64) -> bool {
        let place = (record.topic.clone(), record.partition);
        let notes = record::notes(&record);
        let mut inside = self.inside();
        if inside.is_closing {
            return true;
        }
        let Some(partition) = inside.of_term(&place, term) else {
            return true;
        };
        let is_for_us = notes
            .group
            .as_ref()
            .is_none_or(|group| *group == self.group);
        if let Some(wait) = wait(&notes).filter(|_| is_for_us) {
            inside.waiting.insert(place, Instant::now() + wait);
            return false;
        }
        if !partition.take(record.offset) {
            return true;
        }
        if !is_for_us {
            partition.settle(record.offset);
            self.settled.notify_one();
            return true;
        }
        let held = Held {
            attempt: notes.attempt.unwrap_or(1).max(1),
            again: notes.again || partition.was_seen(record.offset),
            term,
            record,
        };
        let may_give = partition.may_give(held.record.offset);
        inside.ready.push_back(held);
        drop(inside);
        if may_give {
            self.ready.notify_one();
        } else {
            self.settled.notify_one();
        }
        true
    }

    /// What the group is to be told.
    pub fn to_commit(&self) -> Vec<Commit> {
        let ahead = AHEAD.max(self.prefetch.try_into().unwrap_or(u16::MAX));
        let inside = self.inside();
        let is_last = inside.gives_nothing();
        let mark = |partition: &Partition| {
            if is_last {
                partition.last_to_commit()
            } else {
                partition.to_commit(ahead.into())
            }
        };
        let partitions = inside.partitions.iter();
        partitions
            .filter_map(|(place, partition)| {
                Some(Commit {
                    place: place.clone(),
                    term: partition.term,
                    mark: mark(partition)?,
                })
            })
            .collect()
    }

    /// The group knows this.
    pub fn note_committed(&self, commits: &[Commit]) {
        let mut inside = self.inside();
        for Commit { place, term, mark } in commits {
            if let Some(partition) = inside.of_term(place, *term) {
                partition.committed(*mark);
            }
            inside.answer(
                |waiter| waiter.term == *term && waiter.offset < mark.settled,
                || Ok(()),
            );
        }
        drop(inside);
        self.tell();
    }

    /// The group gives us partitions, each with the offset up to which its records may have been given out before.
    pub fn assigned(&self, partitions: impl IntoIterator<Item = (TopicPartition, i64)>) {
        let mut inside = self.inside();
        inside.is_handing_over = false;
        inside.is_member = true;
        inside.trouble = None;
        for (partition, seen) in partitions {
            inside.terms += 1;
            let (place, term) = (place(&partition), inside.terms);
            inside.waiting.remove(&place);
            inside.partitions.insert(place, Partition::new(term, seen));
        }
        drop(inside);
        self.divided.notify_one();
        self.tell();
    }

    /// Gives nothing out any more until partitions are given to us, and completes when nothing is out of those that are ours.
    pub async fn hand_over(&self) {
        let mut changes = self.changes.subscribe();
        self.inside().is_handing_over = true;
        while self.has_out() && changes.changed().await.is_ok() {}
    }

    /// Whether partitions are handed over, and none were given to us since.
    pub fn is_handing_over(&self) -> bool {
        self.inside().is_handing_over
    }

    /// Whether the group has let us in, and is not divided anew.
    pub fn is_in_group(&self) -> bool {
        let inside = self.inside();
        inside.is_member && !inside.is_handing_over
    }

    /// Completes when the group knows all that there is to know, or does not want to know it.
    pub async fn known(&self) {
        let mut changes = self.changes.subscribe();
        self.inside().is_heard = true;
        self.settled.notify_one();
        while self.inside().is_heard && !self.to_commit().is_empty() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The group takes nothing until we have joined it anew.
    pub fn cannot_commit(&self) {
        self.inside().is_heard = false;
        self.tell();
    }

    /// Whether something is out of partitions that are ours.
    fn has_out(&self) -> bool {
        let inside = self.inside();
        let mut terms = inside.partitions.values().map(|partition| partition.term);
        terms.any(|term| inside.out.contains_key(&term))
    }

    /// The group has taken partitions away.
    pub fn forget(&self, partitions: &[TopicPartition]) {
        let mut inside = self.inside();
        for place in partitions.iter().map(place) {
            inside.waiting.remove(&place);
            if let Some(partition) = inside.partitions.remove(&place) {
                inside.ready.retain(|held| held.term != partition.term);
                inside.answer(|waiter| waiter.term == partition.term, || Err(taken_away()));
            }
        }
        drop(inside);
        self.divided.notify_one();
        self.tell();
    }

    /// There is no group any more that we are in.
    pub fn forget_all(&self) {
        let mut inside = self.inside();
        inside.partitions.clear();
        inside.waiting.clear();
        inside.ready.clear();
        inside.is_handing_over = false;
        inside.is_member = false;
        inside.answer(|_| true, || Err(taken_away()));
        drop(inside);
        self.divided.notify_one();
        self.tell();
    }

    /// Takes no more, and gives nothing out.
    pub fn close(&self) {
        let mut inside = self.inside();
        inside.is_closing = true;
        inside.ready.clear();
        drop(inside);
        self.tell();
    }

    /// Whether it is closing, and nothing is out.
    pub fn is_over(&self) -> bool {
        let inside = self.inside();
        inside.is_closing && inside.out.is_empty()
    }

    /// Completes when it is over.
    pub async fn over(&self) {
        let mut changes = self.changes.subscribe();
        while !self.is_over() && changes.changed().await.is_ok() {}
    }

    /// We are in no group any more, and join none.
    pub fn has_left(&self) {
        self.inside().has_left = true;
        self.tell();
    }

    /// Completes when we are in no group any more.
    pub async fn left(&self) {
        let mut changes = self.changes.subscribe();
        while !self.inside().has_left && changes.changed().await.is_ok() {}
    }

    pub fn trouble(&self) -> Option<String> {
        self.inside().trouble.clone()
    }

    /// Says why no messages come.
    pub fn set_trouble(&self, trouble: String) {
        self.inside().trouble = Some(trouble);
    }

    /// The brokers answer. That is all well where the group has let us in.
    pub fn goes_well(&self) {
        let mut inside = self.inside();
        if inside.is_member {
            inside.trouble = None;
        }
    }

    fn tell(&self) {
        self.ready.notify_one();
        self.room.notify_waiters();
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a copy is not due yet.
fn wait(notes: &Notes) -> Option<Duration> {
    let left = notes.not_before?.duration_since(SystemTime::now()).ok()?;
    Some(left).filter(|left| !left.is_zero())
}

fn place(partition: &TopicPartition) -> Place {
    (partition.topic.as_str().into(), partition.partition)
}
