//! What a relay tells of itself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::held::Shown;
use super::outbox::Waiting;

/// A relay as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    pub state: State,
    /// Why, where it does not publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when the state is so.
    #[serde(serialize_with = "as_text")]
    pub since: SystemTime,
    /// Whether it is told of new rows; otherwise it looks now and then.
    pub listens: bool,
    /// Why not, where it tries to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_listening: Option<String>,
    pub lag: Lag,
    /// How many rows the broker has confirmed.
    pub published: u64,
    /// How many of them it had before, as it says.
    pub duplicates: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Rows that were set aside.
    pub set_aside: u64,
    /// How many rows failed and hold back what comes behind them; those that failed first are shown.
    pub held: usize,
    pub held_rows: Vec<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<LastError>,
}

/// How much waits, as it was when the table was last asked.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Lag {
    /// None where the table has not answered.
    pub rows: Option<u64>,
    /// In seconds; None where the table does not note that.
    pub oldest: Option<f64>,
    /// Rows in the table that are set aside; None where it does not note that.
    pub set_aside: Option<u64>,
}

/// What a relay is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for the first connection to the broker.
    Starting,
    /// The database is not there, or the table is not as it should be.
    Detached,
    Relaying,
    /// The broker is not there.
    Waiting,
    /// Another process has rows of the table under way.
    Standby,
    /// By order of the operator.
    Paused,
    Ending,
}

impl State {
    /// Whether rows are published when there are some, by this process or another one, or nobody wants that.
    pub const fn is_healthy(self) -> bool {
        match self {
            State::Starting | State::Detached | State::Waiting => false,
            State::Relaying | State::Standby | State::Paused | State::Ending => true,
        }
    }
}

/// What went wrong last.
#[derive(Clone, Debug, Serialize)]
pub struct LastError {
    #[serde(serialize_with = "as_text")]
    pub at: SystemTime,
    /// The row, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    pub reason: &'static str,
    pub detail: String,
}

/// What is known of a relay, beside its settings.
pub(super) struct Account(Mutex<Description>);

impl Account {
    pub fn new() -> Self {
        Account(Mutex::new(Description {
            state: State::Starting,
            why: None,
            since: SystemTime::now(),
            listens: false,
            not_listening: None,
            lag: Lag::default(),
            published: 0,
            duplicates: 0,
            failed: 0,
            set_aside: 0,
            held: 0,
            held_rows: Vec::new(),
            last_error: None,
        }))
    }

    pub fn describe(&self) -> Description {
        self.known().clone()
    }

    pub fn known(&self) -> MutexGuard<'_, Description> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the relay does now. Answers whether that is new.
    pub fn is_now(&self, state: State, why: Option<String>) -> bool {
        let mut known = self.known();
        let is_new = known.state != state;
        if is_new {
            known.since = SystemTime::now();
            known.state = state;
        }
        known.why = why;
        is_new
    }

    pub fn went_wrong(&self, row: Option<&str>, reason: &'static str, detail: &str) {
        self.known().last_error = Some(LastError {
            at: SystemTime::now(),
            row: row.map(str::to_owned),
            reason,
            detail: detail.to_owned(),
        });
    }

    /// Whether it is told of new rows, or why not.
    pub fn listens(&self, result: Result<(), String>) {
        let mut known = self.known();
        known.listens = result.is_ok();
        known.not_listening = result.err();
    }

    /// How much waits, where that is known.
    pub fn waits(&self, waiting: Option<Waiting>) {
        let lag = |waiting: Waiting| Lag {
            rows: Some(waiting.rows),
            oldest: waiting.oldest.map(|age| age.as_secs_f64()),
            set_aside: waiting.aside,
        };
        self.known().lag = waiting.map(lag).unwrap_or_default();
    }
}

/// A point in time as text (RFC 3339).
pub(super) fn as_text<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis(*time))
}
