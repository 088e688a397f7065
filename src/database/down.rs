//! Whether it makes sense to connect: a database that was not there a moment ago is not asked again at once by everybody.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Failure, Objection};
use crate::net::backoff::{Backoff, Jitter};

const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(2),
    jitter: Jitter::Half,
};

/// What is known of the last tries to connect.
pub(super) struct Down {
    /// The database's name in the config.
    name: String,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    failures: u32,
    /// Before that, nobody tries.
    until: Option<Instant>,
    last_error: Option<(SystemTime, String)>,
    connected: bool,
}

impl Down {
    pub fn new(name: &str) -> Self {
        Down {
            name: name.to_owned(),
            known: Mutex::default(),
        }
    }

    /// The right to try. While the database is known to be down, one tries at a time, and not at once.
    ///
    /// # Errors
    /// Why the last try failed.
    pub fn may_try(&self, limit: Duration) -> Result<(), Failure> {
        let mut known = self.known();
        let Some(until) = known.until else {
            return Ok(());
        };
        if Instant::now() < until {
            return Err(Failure::Unavailable(NO_CONNECTION.to_owned()));
        }
        // The others wait for this one, unless it is not heard of.
        known.until = Some(Instant::now() + limit);
        Ok(())
    }

    pub fn connected(&self) {
        let mut known = self.known();
        if !known.connected {
            tracing::info!(database = self.name, "the database is connected");
        }
        known.connected = true;
        known.failures = 0;
        known.until = None;
    }

    /// A try has failed. `why` is for operators.
    pub fn failed(&self, why: String) -> Failure {
        let mut known = self.known();
        known.until = Some(Instant::now() + RETRY.after(known.failures));
        known.failures = known.failures.saturating_add(1);
        let is_news =
            known.connected || known.last_error.as_ref().is_none_or(|(_, old)| *old != why);
        if is_news {
            tracing::warn!(database = self.name, "no connection to the database: {why}");
        }
        known.connected = false;
        known.last_error = Some((SystemTime::now(), why));
        Failure::Unavailable(NO_CONNECTION.to_owned())
    }

    /// Something else than connecting has failed. `why` is for operators.
    pub fn troubled(&self, why: String) {
        let mut known = self.known();
        if known.last_error.as_ref().is_none_or(|(_, old)| *old != why) {
            tracing::warn!(database = self.name, "the database is in trouble: {why}");
        }
        known.last_error = Some((SystemTime::now(), why));
    }

    /// Whether the last try succeeded; None before the first one has ended.
    pub fn is_connected(&self) -> Option<bool> {
        let known = self.known();
        (known.connected || known.last_error.is_some()).then_some(known.connected)
    }

    /// Why a statement cannot be looked at; `otherwise` where nothing is known.
    pub fn unreachable(&self, otherwise: &str) -> Objection {
        let why = self.last_error().map(|(_, why)| why);
        Objection::Unreachable(why.unwrap_or_else(|| otherwise.to_owned()))
    }

    pub fn last_error(&self) -> Option<(SystemTime, String)> {
        self.known().last_error.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What callers are told: neither where the database is nor why it does not answer.
const NO_CONNECTION: &str = "there is no connection to the database";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_tries_while_it_is_down() {
        let down = Down::new("main");
        let limit = Duration::from_secs(5);
        assert!(down.may_try(limit).is_ok() && down.may_try(limit).is_ok());
        assert_eq!(down.is_connected(), None);
        down.failed("refused".to_owned());
        assert!(down.may_try(limit).is_err());
        tokio::time::advance(Duration::from_millis(150)).await;
        assert!(down.may_try(limit).is_ok());
        assert!(down.may_try(limit).is_err());
        // Whoever tried is gone.
        tokio::time::advance(limit).await;
        assert!(down.may_try(limit).is_ok());
        down.connected();
        assert!(down.may_try(limit).is_ok() && down.may_try(limit).is_ok());
        assert_eq!(down.is_connected(), Some(true));
        assert_eq!(down.last_error().unwrap().1, "refused");
    }
}
