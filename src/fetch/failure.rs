//! Why there is no answer, and when that is a reason to ask again.

use std::fmt;
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tower::retry::Policy;

use super::{Call, Fetched};
use crate::net::backoff::{Backoff, Jitter};

/// How often a call is made again at most. What takes longer to mend than a moment is for whoever makes the call.
const REPEATS: u32 = 2;
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(1),
    jitter: Jitter::Half,
};

/// Why there is no answer, in a sentence for the log.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There was no connection, so that nothing was sent.
    Unreached(String),
    /// The server may have got the call, and may have done what it asks.
    Unanswered(String),
    /// The same would come of asking again, or it would take too long.
    Settled(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Unreached(why) | Failure::Unanswered(why) | Failure::Settled(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Failure {}

/// Has a call made again after a moment, where that cannot do anything twice. One that waited in a connection which
/// closed meanwhile never gets here: hyper-util sends it over the next, as it knows that nothing of it had left.
#[derive(Clone, Default)]
pub(super) struct Repeat {
    repeats: u32,
}

impl Policy<Call, Fetched, Failure> for Repeat {
    type Future = Sleep;

    fn retry(
        &mut self,
        call: &mut Call,
        outcome: &mut Result<Fetched, Failure>,
    ) -> Option<Self::Future> {
        let why = outcome.as_ref().err()?;
        let harmless = match why {
            Failure::Unreached(_) => true,
            Failure::Unanswered(_) => call.method.is_idempotent(),
            Failure::Settled(_) => false,
        };
        if !harmless || self.repeats == REPEATS {
            return None;
        }
        tracing::debug!("a call is made again: {why}");
        let wait = BACKOFF.after(self.repeats);
        self.repeats += 1;
        Some(sleep(wait))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}
