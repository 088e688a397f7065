//! What the health checks of an endpoint came to.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// What is known of an endpoint by its checks.
#[derive(Debug, Default)]
pub struct Health(Mutex<Results>);

#[derive(Debug, Default)]
struct Results {
    /// Checks in a row that came to the same as the last.
    row: u32,
    last: Option<LastCheck>,
}

/// The last check of an endpoint.
#[derive(Clone, Debug)]
pub struct LastCheck {
    pub at: Instant,
    /// Why it failed; None when it passed.
    pub failure: Option<String>,
}

impl Health {
    pub fn last(&self) -> Option<LastCheck> {
        self.results().last.clone()
    }

    /// Takes down what a check came to. Gives how many in a row came to the same, and whether it was the first of
    /// all.
    pub fn note(&self, result: &Result<(), String>, at: Instant) -> (u32, bool) {
        let mut results = self.results();
        let failure = result.as_ref().err().cloned();
        let before = results.last.as_ref().map(|last| last.failure.is_none());
        results.row = if before == Some(failure.is_none()) {
            results.row.saturating_add(1)
        } else {
            1
        };
        results.last = Some(LastCheck { at, failure });
        (results.row, before.is_none())
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
