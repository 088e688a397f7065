//! What a consumer has taken, and the terms in which its partitions were ours.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use krafka::ConsumerRecord;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::partition::{Mark, Partition};
use crate::broker::Lost;

/// A partition of a topic.
pub(super) type Place = (Arc<str>, i32);

/// A partition in a term in which it is ours.
pub(super) type Term = (Place, u64);

/// What is taken, and of which partitions.
#[derive(Default)]
pub(super) struct Inside {
    pub terms: u64,
    pub partitions: HashMap<Place, Partition>,
    pub ready: VecDeque<Held>,
    pub out: BTreeMap<u64, usize>,
    /// Partitions whose first record is not due yet.
    pub waiting: HashMap<Place, Instant>,
    pub waiters: Vec<Waiter>,
    pub is_closing: bool,
    /// We are in no group any more, and join none.
    pub has_left: bool,
    /// The group has let us in.
    pub is_member: bool,
    /// Nothing is given out until partitions were given to us.
    pub is_handing_over: bool,
    /// What is handed over may still be committed.
    pub is_heard: bool,
    pub trouble: Option<String>,
}

/// A record that was taken, in the term in which its partition was ours.
pub(super) struct Held {
    pub record: ConsumerRecord,
    pub attempt: u32,
    /// It may have been out before.
    pub again: bool,
    pub term: u64,
}

/// What the group is to be told of a partition that was given to us in a term.
pub(super) struct Commit {
    pub place: Place,
    pub term: u64,
    pub mark: Mark,
}

/// Who waits for a record to be committed.
pub(super) struct Waiter {
    pub term: u64,
    pub offset: i64,
    pub tell: oneshot::Sender<Result<(), Lost>>,
}

impl Held {
    pub fn place(&self) -> Place {
        (self.record.topic.clone(), self.record.partition)
    }
}

impl Inside {
    pub fn gives_nothing(&self) -> bool {
        self.is_closing || self.is_handing_over
    }

    pub fn out(&self) -> usize {
        self.out.values().sum()
    }

    pub fn came_back(&mut self, term: u64) {
        if let Some(count) = self.out.get_mut(&term) {
            *count -= 1;
            if *count == 0 {
                self.out.remove(&term);
            }
        }
    }

    pub fn may_give(&self, held: &Held) -> bool {
        let partition = self.partitions.get(&held.place());
        partition.is_some_and(|partition| {
            partition.term == held.term && partition.may_give(held.record.offset)
        })
    }

    pub fn has_room(&self, prefetch: usize) -> bool {
        !self.gives_nothing() && self.ready.len() + self.out() < prefetch
    }

    pub fn ours(&mut self, held: &Held) -> Option<&mut Partition> {
        self.of_term(&held.place(), held.term)
    }

    pub fn of_term(&mut self, place: &Place, term: u64) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(place);
        partition.filter(|partition| partition.term == term)
    }

    /// Tells those who wait for a commit, and for whom `is_told`, what became of it.
    pub fn answer(
        &mut self,
        is_told: impl Fn(&Waiter) -> bool,
        what: impl Fn() -> Result<(), Lost>,
    ) {
        for waiter in self.waiters.extract_if(.., |waiter| is_told(waiter)) {
            let _nobody_waits_any_more = waiter.tell.send(what());
        }
    }
}

pub(super) fn taken_away() -> Lost {
    Lost("the group has taken its partition away: it comes again".to_owned())
}
