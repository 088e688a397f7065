//! The newest requests that failed or took long, with all that is known of their way, for whoever asks why.
//!
//! A request that is answered well and in time costs nothing here, and a process in which none ever failed keeps nothing.
//! Each worker keeps its own, so that those of one do not wait for another. What is kept has no body, no header and no
//! query of a caller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::process;

mod exemplars;
mod kept;
mod query;

pub use exemplars::Exemplars;
use kept::Group;
pub use kept::Kept;
pub use query::Query;

/// So many are kept by each worker, and so many bytes of them.
const MOST: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// Those of all workers.
pub struct Requests {
    /// By worker; the last is of all other threads.
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Default)]
struct Shard {
    /// The oldest first.
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// How many of what is kept belong together.
    groups: BTreeMap<Group, usize>,
}

impl Default for Requests {
    fn default() -> Self {
        let shards = 0..=process::keeper_count();
        Requests {
            shards: shards.map(|_| Mutex::default()).collect(),
        }
    }
}

impl Requests {
    /// Keeps one more. Where there are enough, the oldest of those is forgotten that have most in common: a flood of one
    /// failure does not wash away what else fails.
    pub fn keep(&self, request: Kept) {
        let last = self.shards.len() - 1;
        let mine = process::this_worker().map_or(last, |worker| worker.min(last));
        let forgotten = self.shard(mine).keep(request);
        // Not under the lock.
        drop(forgotten);
    }

    /// Those that `query` asks for, the newest first.
    pub fn find(&self, query: &Query) -> Vec<Arc<Kept>> {
        let mut found: Vec<Arc<Kept>> = Vec::new();
        for shard in 0..self.shards.len() {
            let shard = self.shard(shard);
            let asked = shard.kept.iter().filter(|kept| query.asks_for(kept));
            found.extend(asked.cloned());
        }
        found.sort_by_key(|kept| std::cmp::Reverse(kept.ended));
        found.truncate(query.limit);
        found
    }

    /// The newest of that id: callers may give several requests the same.
    pub fn one(&self, request_id: &str) -> Option<Arc<Kept>> {
        let query = Query {
            request_id: Some(request_id.to_owned()),
            limit: 1,
            ..Query::default()
        };
        self.find(&query).pop()
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Shard> {
        let shard = self.shards[at].lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn keep(&mut self, request: Kept) -> Vec<Arc<Kept>> {
        let mut forgotten = Vec::new();
        let bytes = request.bytes();
        while !self.kept.is_empty() && (self.kept.len() >= MOST || self.bytes + bytes > MOST_BYTES)
        {
            forgotten.extend(self.forget());
        }
        self.bytes += bytes;
        *self.groups.entry(request.group()).or_default() += 1;
        self.kept.push_back(Arc::new(request));
        forgotten
    }

    /// Takes out the oldest of the largest group.
    fn forget(&mut self) -> Option<Arc<Kept>> {
        let largest = self.groups.iter().max_by_key(|(_, count)| **count);
        let largest = largest.map(|(group, _)| group.clone())?;
        let at = self.kept.iter().position(|kept| kept.group() == largest)?;
        let kept = self.kept.remove(at)?;
        self.bytes -= kept.bytes();
        if let Some(count) = self.groups.get_mut(&largest) {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(&largest);
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
pub(super) mod tests;
