//! What of the partitions that are ours is to be read now, and from where.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;

use tokio::time::Instant;

use super::held::{Place, Term};
use super::partition::Partition;
use super::taken::Taken;

/// Records taken of one partition behind one that is not settled: more are left where they are.
const SPAN: usize = 10_000;

/// What to do with some partitions now.
pub(super) struct Plan {
    /// Which to leave alone.
    pub paused: BTreeSet<Place>,
    /// When one of them is due.
    pub next: Option<Instant>,
}

impl Taken {
    /// Completes when more may be taken.
    pub async fn has_room(&self) {
        let mut room = pin!(self.room.notified());
        loop {
            room.as_mut().enable();
            if self.inside().has_room(self.prefetch) {
                return;
            }
            room.as_mut().await;
            room.set(self.room.notified());
        }
    }

    /// What to do with these partitions now.
    pub fn plan(&self, of: &HashMap<Place, u64>) -> Plan {
        let now = Instant::now();
        let mut inside = self.inside();
        inside.waiting.retain(|_, due| *due > now);
        let is_paused = |place: &Place| {
            let partition = inside.partitions.get(place);
            let is_long = partition.is_some_and(|partition| partition.span() >= SPAN);
            is_long || inside.waiting.contains_key(place)
        };
        Plan {
            paused: of
                .keys()
                .filter(|place| is_paused(place))
                .cloned()
                .collect(),
            next: of
                .keys()
                .filter_map(|place| inside.waiting.get(place))
                .min()
                .copied(),
        }
    }

    /// The partitions of which it is not known where to begin.
    pub fn without_start(&self) -> Vec<Term> {
        self.terms(|partition| partition.next().is_none())
    }

    /// The partitions that can be read.
    pub fn ours(&self) -> Vec<Term> {
        self.terms(|partition| partition.next().is_some())
    }

    fn terms(&self, which: impl Fn(&Partition) -> bool) -> Vec<Term> {
        let inside = self.inside();
        let partitions = inside.partitions.iter();
        let found = partitions.filter(|(_, partition)| which(partition));
        found
            .map(|(place, partition)| (place.clone(), partition.term))
            .collect()
    }

    /// The group has us begin here.
    pub fn start(&self, place: &Place, term: u64, offset: i64) {
        if let Some(partition) = self.inside().of_term(place, term) {
            partition.start(offset);
        }
    }

    /// Where reading goes on, in this term.
    pub fn next(&self, place: &Place, term: u64) -> Option<i64> {
        self.inside().of_term(place, term)?.next()
    }
}
