//! Those who keep account of an endpoint, told what came of an attempt: its load, its standing, its last error.

use std::time::Duration;

use tokio::time::Instant;

use super::Attempt;
use super::meaning::{Facts, Latency, Outcome, Verdict};
use crate::net::timer;

impl Attempt {
    /// How long the endpoint had the request until the head of its answer, or until it was clear that there is none.
    #[inline]
    pub(super) fn took(&self, latency: Latency, waited: Duration, now: Instant) {
        // As nearly all are.
        if latency == Latency::Answered {
            self.endpoint().load.answered(waited, now);
        } else {
            self.took_otherwise(latency, waited, now);
        }
    }

    #[cold]
    fn took_otherwise(&self, latency: Latency, waited: Duration, now: Instant) {
        let load = &self.endpoint().load;
        match latency {
            Latency::Answered => load.answered(waited, now),
            Latency::Refused => load.refused(waited, now),
            Latency::GivenUp => load.given_up(waited, now),
            Latency::Failed => load.failed(waited, now),
            Latency::Nothing => {}
        }
    }

    /// What the endpoint has to be praised or blamed for, up to the head.
    #[inline]
    pub(super) fn judged(&self, outcome: Outcome<'_>, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Good => {
                let endpoint = self.endpoint();
                endpoint.traffic.answered.one_more();
                endpoint.standing.answered();
            }
            Verdict::Failure => {
                self.endpoint().traffic.failed.one_more();
                self.blame(outcome, now);
            }
            Verdict::Neither => self.endpoint().traffic.neither.one_more(),
        }
    }

    /// What it has to be blamed for behind the head.
    #[inline]
    pub(super) fn behind_head(&self, outcome: Outcome<'_>) {
        if let Some(span) = &self.span {
            span.came_to(outcome);
        }
        let facts = Facts {
            stale: false,
            grpc: self.grpc,
            reached: self.stage.reached(),
        };
        if outcome.meaning(facts).verdict == Verdict::Failure {
            self.stage.ends();
            self.blame(outcome, timer::now());
        }
    }

    /// An answer came to its good end, unless it was a failure before that.
    #[inline]
    pub(super) fn completes(&self) {
        if self.stage.is_answered() {
            self.endpoint().standing.completed();
        }
    }

    #[cold]
    fn blame(&self, outcome: Outcome<'_>, now: Instant) {
        let endpoint = self.endpoint();
        endpoint.standing.failed();
        match outcome {
            Outcome::Answered(response) => endpoint.last_error.note(now, Ok(response)),
            Outcome::Failed(error) => endpoint.last_error.note(now, Err(error)),
            Outcome::Status(status) => endpoint.last_error.note_status(now, status),
            _ => endpoint.last_error.note_late(now),
        }
    }
}
