//! What a consumer has taken: what is ready to be given out, what is out, and what of it is settled.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use krafka::ConsumerRecord;
use krafka::consumer::TopicPartition;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use super::partition::Partition;
use super::record::{self, Notes};
use crate::broker::Lost;

/// Records taken of one partition behind one that is not settled: more are left where they are.
const SPAN: usize = 10_000;

/// Tells when a record is committed, or why not.
pub(super) type Committed = oneshot::Receiver<Result<(), Lost>>;

/// A partition of a topic.
pub(super) type Place = (Arc<str>, i32);

/// What a consumer has taken.
pub(super) struct Taken {
    group: String,
    prefetch: usize,
    inside: Mutex<Inside>,
    /// Something can be given out.
    pub ready: Notify,
    /// There is room for more, or the end has come.
    pub room: Notify,
    /// Something can be committed.
    pub settled: Notify,
    /// Counts what is settled or comes back.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Inside {
    terms: u64,
    partitions: HashMap<Place, Partition>,
    ready: VecDeque<Held>,
    out: BTreeMap<u64, usize>,
    /// Partitions whose first record is not due yet.
    waiting: HashMap<Place, Instant>,
    waiters: Vec<Waiter>,
    is_closing: bool,
    trouble: Option<String>,
}

/// A record that was taken, in the term in which its partition was ours.
pub(super) struct Held {
    pub record: ConsumerRecord,
    pub attempt: u32,
    /// It was out before.
    pub again: bool,
    term: u64,
}

/// Who waits for a record to be committed.
struct Waiter {
    term: u64,
    offset: i64,
    tell: oneshot::Sender<Result<(), Lost>>,
}

/// What to do with the partitions now.
pub(super) struct Plan {
    pub has_room: bool,
    /// Which to leave alone, each with its term.
    pub paused: HashMap<Place, u64>,
    /// When one of them is due.
    pub next: Option<Instant>,
}

impl Held {
    pub fn place(&self) -> Place {
        (self.record.topic.clone(), self.record.partition)
    }
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
            changes: watch::Sender::new(0),
        }
    }

    /// The next record to give out, which is out then.
    pub fn give(&self) -> Option<Held> {
        let mut inside = self.inside();
        if inside.is_closing || inside.out() >= self.prefetch {
            return None;
        }
        let held = inside.ready.pop_front()?;
        *inside.out.entry(held.term).or_default() += 1;
        drop(inside);
        self.room.notify_one();
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

    /// A record came. False when it is not due yet: its partition is left alone until then, and read from it again.
    pub fn arrived(&self, record: ConsumerRecord) -> bool {
        let place = (record.topic.clone(), record.partition);
        let notes = record::notes(&record);
        let mut inside = self.inside();
        if inside.is_closing {
            return true;
        }
        let Some(partition) = inside.partitions.get_mut(&place) else {
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
        let term = partition.term;
        inside.ready.push_back(Held {
            record,
            attempt: notes.attempt.unwrap_or(1).max(1),
            again: false,
            term,
        });
        drop(inside);
        self.ready.notify_one();
        true
    }

    /// What to do with the partitions now.
    pub fn plan(&self) -> Plan {
        let now = Instant::now();
        let mut inside = self.inside();
        inside.waiting.retain(|_, due| *due > now);
        let has_room = !inside.is_closing && inside.ready.len() + inside.out() < self.prefetch;
        let paused = inside.partitions.iter().filter(|(place, partition)| {
            !has_room || partition.span() >= SPAN || inside.waiting.contains_key(*place)
        });
        Plan {
            has_room,
            paused: paused
                .map(|(place, partition)| (place.clone(), partition.term))
                .collect(),
            next: inside.waiting.values().min().copied(),
        }
    }

    /// What can be committed.
    pub fn to_commit(&self) -> Vec<(Place, u64, i64)> {
        let inside = self.inside();
        let partitions = inside.partitions.iter();
        partitions
            .filter_map(|(place, partition)| {
                Some((place.clone(), partition.term, partition.to_commit()?))
            })
            .collect()
    }

    /// This was committed.
    pub fn note_committed(&self, offsets: &[(Place, u64, i64)]) {
        let mut inside = self.inside();
        for (place, term, offset) in offsets {
            let partition = inside.partitions.get_mut(place);
            if let Some(partition) = partition.filter(|partition| partition.term == *term) {
                partition.committed(*offset);
            }
            inside.answer(
                |waiter| waiter.term == *term && waiter.offset < *offset,
                || Ok(()),
            );
        }
    }

    /// The group gives us partitions.
    pub fn assigned(&self, partitions: &[TopicPartition]) {
        let mut inside = self.inside();
        for place in partitions.iter().map(place) {
            inside.terms += 1;
            let term = inside.terms;
            inside.waiting.remove(&place);
            inside.partitions.insert(place, Partition::new(term));
        }
    }

    /// The group will take partitions away: nothing of them is given out any more. Whether something of them is out.
    pub fn withhold(&self, partitions: &[TopicPartition]) -> bool {
        let mut inside = self.inside();
        let places = partitions.iter().map(place);
        let terms: Vec<u64> = places
            .filter_map(|place| Some(inside.partitions.get(&place)?.term))
            .collect();
        inside.ready.retain(|held| !terms.contains(&held.term));
        terms.iter().any(|term| inside.out.contains_key(term))
    }

    /// The group has taken partitions away.
    pub fn forget(&self, partitions: &[TopicPartition]) {
        self.withhold(partitions);
        let mut inside = self.inside();
        for place in partitions.iter().map(place) {
            inside.waiting.remove(&place);
            if let Some(partition) = inside.partitions.remove(&place) {
                inside.answer(|waiter| waiter.term == partition.term, || Err(taken_away()));
            }
        }
        drop(inside);
        self.tell();
    }

    /// There is no group any more that we are in.
    pub fn forget_all(&self) {
        let mut inside = self.inside();
        inside.partitions.clear();
        inside.waiting.clear();
        inside.ready.clear();
        inside.answer(|_| true, || Err(taken_away()));
        drop(inside);
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

    pub fn trouble(&self) -> Option<String> {
        self.inside().trouble.clone()
    }

    /// Says why no messages come, or None.
    pub fn set_trouble(&self, trouble: Option<String>) {
        self.inside().trouble = trouble;
    }

    /// Tells of everything that is settled, committed or comes back from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.ready.notify_one();
        self.room.notify_one();
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn out(&self) -> usize {
        self.out.values().sum()
    }

    fn came_back(&mut self, term: u64) {
        if let Some(count) = self.out.get_mut(&term) {
            *count -= 1;
            if *count == 0 {
                self.out.remove(&term);
            }
        }
    }

    fn ours(&mut self, held: &Held) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(&held.place());
        partition.filter(|partition| partition.term == held.term)
    }

    /// Tells those who wait for a commit, and for whom `is_told`, what became of it.
    fn answer(&mut self, is_told: impl Fn(&Waiter) -> bool, what: impl Fn() -> Result<(), Lost>) {
        for waiter in self.waiters.extract_if(.., |waiter| is_told(waiter)) {
            let _nobody_waits_any_more = waiter.tell.send(what());
        }
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

fn taken_away() -> Lost {
    Lost("the group has taken its partition away: it comes again".to_owned())
}
