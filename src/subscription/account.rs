//! What a subscription tells of itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use super::metrics::Metrics;

/// So many failures are remembered.
const FAILURES: usize = 10;

/// A subscription as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    pub state: State,
    /// Why, where it does not deliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Since when the state is so.
    #[serde(with = "humantime_text")]
    pub since: SystemTime,
    /// Taken, and not settled.
    pub in_flight: usize,
    pub acked: u64,
    /// By the step of the ladder that they were put on.
    pub retried: Vec<u64>,
    pub dead_lettered: u64,
    /// By the application's own wish.
    pub dropped: u64,
    /// Settled, and the broker may not have heard it: they come again.
    pub unsettled: u64,
    /// Messages that wait at the broker; None when that is not known.
    pub lag: Option<u64>,
    /// The newest first.
    pub last_failures: VecDeque<Failure>,
}

/// What a subscription is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has no connection to the broker, or not yet what it consumes.
    Detached,
    Delivering,
    /// The application is not there: what is taken is kept, and tried now and then.
    Waiting,
    /// By order of the operator.
    Paused,
    Ending,
}

/// A delivery that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    #[serde(with = "humantime_text")]
    pub at: SystemTime,
    pub message_id: String,
    pub attempt: u32,
    pub status: u16,
    /// The proxy's word for why, when it answered itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What became of the message.
    pub then: String,
}

/// What became of a message that the broker has taken back.
#[derive(Clone, Copy)]
pub(super) enum Settled {
    Acked,
    /// By the application's own wish.
    Dropped,
    /// To be tried again, from the step of the ladder with this index.
    Retried {
        step: usize,
    },
    DeadLettered,
}

/// What is known of a subscription, beside its settings.
pub(super) struct Account {
    known: Mutex<Description>,
    pub metrics: Metrics,
}

impl Account {
    /// `steps` is how many steps its ladder has.
    pub fn new(name: &str, steps: usize) -> Self {
        Account {
            known: Mutex::new(Description {
                state: State::Detached,
                why: None,
                since: SystemTime::now(),
                in_flight: 0,
                acked: 0,
                retried: vec![0; steps],
                dead_lettered: 0,
                dropped: 0,
                unsettled: 0,
                lag: None,
                last_failures: VecDeque::new(),
            }),
            metrics: Metrics::new(name),
        }
    }

    pub fn describe(&self) -> Description {
        self.known().clone()
    }

    pub fn known(&self) -> MutexGuard<'_, Description> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the subscription does now. Answers whether that is new.
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

    /// Counts an end and notes its failure at once: whoever sees the count sees the failure as well. `failure` is asked
    /// with what became of the message.
    pub fn settled(&self, end: Settled, failure: impl FnOnce(String) -> Failure) {
        let mut known = self.known();
        let then = match end {
            Settled::Acked => {
                known.acked += 1;
                return;
            }
            Settled::Dropped => {
                known.dropped += 1;
                "dropped, as the application wants it".to_owned()
            }
            Settled::Retried { step } => {
                if let Some(retried) = known.retried.get_mut(step) {
                    *retried += 1;
                }
                format!("retried on step {}", step + 1)
            }
            Settled::DeadLettered => {
                known.dead_lettered += 1;
                "dead-lettered".to_owned()
            }
        };
        known.last_failures.truncate(FAILURES - 1);
        known.last_failures.push_front(failure(then));
    }
}

/// A point in time as text (RFC 3339).
mod humantime_text {
    use std::time::SystemTime;

    use serde::Serializer;

    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_millis(*time))
    }
}
