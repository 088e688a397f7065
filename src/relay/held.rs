//! Rows that failed: they hold back what comes behind them of their key until they are tried again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use super::outbox::Excluded;
use super::row::Row;
use crate::broker::Refusal;
use crate::net::backoff::{Backoff, Jitter};

/// So many keys are remembered as held back. Behind them nothing is taken until one of them is due.
const MOST: usize = 1000;
/// So many are shown.
const SHOWN: usize = 20;

const TRY_AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    jitter: Jitter::Half,
};

/// The rows that failed, by their keys, or by their ids where they have none.
#[derive(Default)]
pub(super) struct Held(BTreeMap<Place, Failure>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Key(String),
    Id(String),
}

struct Failure {
    id: String,
    attempts: u32,
    failures: u32,
    reason: &'static str,
    detail: String,
    at: SystemTime,
    next: Instant,
}

/// A row that failed, as the admin API shows it.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(super) struct Shown {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How often it was refused for what it is itself.
    pub attempts: u32,
    pub reason: &'static str,
    pub detail: String,
    #[serde(serialize_with = "super::account::as_text")]
    pub at: SystemTime,
}

impl Held {
    /// A row has failed, for the `attempts`th time as far as that is counted.
    pub fn hold(&mut self, row: &Row, refusal: &Refusal, attempts: u32) {
        let place = place(row);
        let before = self.0.get(&place).filter(|before| before.id == row.id);
        let failures = before.map_or(0, |before| before.failures);
        let failure = Failure {
            id: row.id.clone(),
            attempts,
            failures: failures + 1,
            reason: refusal.name(),
            detail: refusal.why().to_owned(),
            at: SystemTime::now(),
            next: Instant::now() + TRY_AGAIN.after(failures),
        };
        self.0.insert(place, failure);
    }

    /// How often this very row has failed by what is remembered here.
    pub fn attempts(&self, row: &Row) -> u32 {
        let held = self.0.get(&place(row)).filter(|held| held.id == row.id);
        held.map_or(0, |held| held.attempts)
    }

    /// The row is out of the way.
    pub fn release(&mut self, row: &Row) {
        self.0.remove(&place(row));
    }

    /// Forgets those that are due and were not among the rows that there are: somebody else has removed them.
    pub fn forget_gone(&mut self, taken: &[Row]) {
        let now = Instant::now();
        self.0.retain(|held, failure| {
            failure.next > now || taken.iter().any(|row| place(row) == *held)
        });
    }

    /// What is not to be taken now.
    pub fn excluded(&self) -> Excluded {
        let now = Instant::now();
        let mut excluded = Excluded::default();
        for (place, _) in self.0.iter().filter(|(_, failure)| failure.next > now) {
            match place {
                Place::Key(key) => excluded.keys.push(key.clone()),
                Place::Id(id) => excluded.ids.push(id.clone()),
            }
        }
        excluded
    }

    /// Whether nothing more can be remembered, so that nothing more may be taken before [`Held::next`].
    pub fn is_full(&self) -> bool {
        self.0.len() >= MOST && self.next().is_some_and(|next| next > Instant::now())
    }

    /// When the first of them is due.
    pub fn next(&self) -> Option<Instant> {
        self.0.values().map(|failure| failure.next).min()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that failed first.
    pub fn shown(&self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = self
            .0
            .iter()
            .map(|(place, failure)| Shown {
                id: failure.id.clone(),
                key: match place {
                    Place::Key(key) => Some(key.clone()).filter(|key| !key.is_empty()),
                    Place::Id(_) => None,
                },
                attempts: failure.attempts,
                reason: failure.reason,
                detail: failure.detail.clone(),
                at: failure.at,
            })
            .collect();
        shown.sort_by_key(|one| one.at);
        shown.truncate(SHOWN);
        shown
    }
}

fn place(row: &Row) -> Place {
    match &row.key {
        Some(key) => Place::Key(key.clone()),
        None => Place::Id(row.id.clone()),
    }
}
