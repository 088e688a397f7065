//! Why there is no answer, and when that is a reason to ask again.

use std::fmt;

use tokio::time::Sleep;
use tower::retry::Policy;
use tower::retry::backoff::{Backoff, ExponentialBackoff, ExponentialBackoffMaker, MakeBackoff};

use super::{Call, Fetched};

/// How often a call is made again at most. What takes longer to mend than a moment is for whoever makes the call.
const REPEATS: u32 = 2;

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
#[derive(Clone)]
pub(super) struct Repeat {
    left: u32,
    backoff: ExponentialBackoff,
}

impl Default for Repeat {
    fn default() -> Self {
        Repeat {
            left: REPEATS,
            // From 50 ms up to twice that, then doubled.
            backoff: ExponentialBackoffMaker::default().make_backoff(),
        }
    }
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
        if !harmless || self.left == 0 {
            return None;
        }
        self.left -= 1;
        tracing::debug!("a call is made again: {why}");
        Some(self.backoff.next_backoff())
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}
