//! Rows that failed: they hold back what comes behind them of their key until they are tried again. One that is published, and
//! of which the table does not take that, holds back nothing but itself.

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

/// Why a row is held back that is published.
pub(super) const NOT_SETTLED: &str = "row_not_settled";

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
        let why = (refusal.name(), refusal.why());
        self.insert(place(row), &row.id, attempts, why);
    }

    /// A row is published, and the table does not take that.
    pub fn hold_published(&mut self, row: &Row, why: &str) {
        self.release(row);
        let place = Place::Id(row.id.clone());
        self.insert(place, &row.id, 0, (NOT_SETTLED, why));
    }

    fn insert(&mut self, place: Place, id: &str, attempts: u32, why: (&'static str, &str)) {
        let before = self.0.get(&place).filter(|before| before.id == id);
        let failures = before.map_or(0, |before| before.failures);
        let (reason, detail) = why;
        let failure = Failure {
            id: id.to_owned(),
            attempts,
            failures: failures + 1,
            reason,
            detail: detail.to_owned(),
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
        if !self.0.is_empty() {
            self.0.remove(&place(row));
        }
    }

    /// The row is published, and the table says so.
    pub fn release_published(&mut self, row: &Row) {
        self.release(row);
        if !self.0.is_empty() {
            self.0.remove(&Place::Id(row.id.clone()));
        }
    }

    /// Whether this row, and no key, is held back.
    pub fn has_id(&self, id: &str) -> bool {
        !self.0.is_empty() && self.0.contains_key(&Place::Id(id.to_owned()))
    }

    /// Forgets those that are due and were not among the rows that there are: somebody else has removed them.
    pub fn forget_gone(&mut self, taken: &[Row]) {
        let now = Instant::now();
        self.0.retain(|held, failure| {
            let is_there = |row: &Row| match held {
                Place::Key(_) => place(row) == *held,
                Place::Id(id) => row.id == *id,
            };
            failure.next > now || taken.iter().any(is_there)
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
