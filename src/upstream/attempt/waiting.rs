//! The wait for the head of an attempt's answer.

use std::time::Duration;

use tokio::time::Instant;

use super::Attempt;
use super::meaning::{Facts, Meaning, Outcome, Reached, Verdict};
use crate::http::error::Error;
use crate::http::exchange::{Exchange, Place, Why};
use crate::http::message::{Response, ServedBy, Tried};
use crate::http::trail::{Asked, Attempted, LONG};
use crate::net::timer;
use crate::upstream::{Endpoint, Upstream};

/// An attempt whose answer has not begun. Dropped, it was cut short.
pub struct Waiting<'a> {
    pub attempt: &'a Attempt,
    pub upstream: &'a Upstream,
    pub exchange: &'a Exchange<'a>,
    pub tried: Option<&'a Tried>,
}

impl Waiting<'_> {
    /// The wait is over. `stale`: the attempt went over a connection that the endpoint may have closed because it was
    /// idle.
    pub fn end(self, outcome: Result<&Response, &Error>, stale: bool) {
        let outcome = match outcome {
            Ok(response) => Outcome::Answered(response),
            Err(error) => Outcome::Failed(error),
        };
        let facts = self.facts(stale);
        let meaning = outcome.meaning(facts);
        if meaning.verdict == Verdict::Good {
            self.attempt.stage.answers();
        } else {
            self.attempt.stage.ends();
        }
        self.note(outcome, &meaning, facts.reached);
    }

    fn facts(&self, stale: bool) -> Facts {
        Facts {
            stale,
            grpc: self.attempt.grpc,
            reached: self.attempt.stage.reached(),
        }
    }

    /// Tells everybody who keeps account of the endpoint, or of attempts.
    #[inline]
    fn note(&self, outcome: Outcome<'_>, meaning: &Meaning, reached: Reached) {
        let now = timer::now();
        let waited = self.waited(now);
        let lasted = match self.exchange.upload() {
            None => self.attempt.stage.asked_nanos() + waited.as_nanos() as u64,
            Some(_) => {
                let lasted = now.saturating_duration_since(self.attempt.started());
                lasted.as_nanos() as u64
            }
        };
        self.attempt.stage.head_ends(lasted);
        if let Some(span) = &self.attempt.span {
            span.came_to(outcome);
        }
        self.attempt.took(meaning.latency, waited, now);
        self.attempt.judged(outcome, meaning.verdict, now);
        if let Some(ended) = meaning.counted {
            self.upstream.metrics().ended(ended, waited);
        }
        if lasted >= LONG.as_nanos() as u64 || !outcome.is_good() {
            self.tell(outcome, reached);
        }
    }

    /// Has whoever asks about the request learn of this attempt.
    #[cold]
    fn tell(&self, outcome: Outcome<'_>, reached: Reached) {
        let endpoint = self.attempt.endpoint();
        let sent = matches!(reached, Reached::Asked | Reached::Answer);
        let (outcome, detail) = outcome.in_words();
        tracing::debug!(
            upstream = &**self.upstream.name(),
            endpoint = &*endpoint.shown,
            outcome = &*outcome,
            detail = detail.as_deref(),
            "an attempt failed or took long"
        );
        self.exchange.trail().attempted(Attempted {
            asked: Asked::Endpoint {
                upstream: self.upstream.name().clone(),
                endpoint: endpoint.shown.clone(),
            },
            times: self.attempt.times(sent),
            outcome,
            detail,
        });
    }

    /// How long the endpoint has had all that there is of the request.
    fn waited(&self, now: Instant) -> Duration {
        let asked = self.attempt.asked();
        let since = match self.exchange.upload() {
            None => asked,
            Some(upload) => upload.last_piece().max(asked),
        };
        now.saturating_duration_since(since)
    }

    #[cold]
    fn cut_short(&self) {
        let outcome = match self.exchange.why() {
            Why::Overdue => Outcome::TimedOut,
            Why::Hurried => Outcome::CallerTimedOut,
            Why::Unwanted => Outcome::Cancelled,
        };
        let facts = self.facts(false);
        self.note(outcome, &outcome.meaning(facts), facts.reached);
        let sent = self.tried.map_or(1, Tried::count);
        self.exchange.was_at(Place {
            by: self.upstream.served_by(
                Some(self.attempt.endpoint()),
                sent,
                self.attempt.stage.took(),
            ),
            queued: self.attempt.stage.queued(),
        });
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.attempt.stage.is_judged() {
            self.cut_short();
        }
    }
}

impl Upstream {
    /// Where a request is or was, which was `sent` so often.
    pub(in crate::upstream) fn served_by(
        &self,
        endpoint: Option<&Endpoint>,
        sent: usize,
        took: u32,
    ) -> ServedBy {
        ServedBy {
            upstream: self.name().clone(),
            endpoint: endpoint.map(|endpoint| endpoint.shown.clone()),
            attempts: sent as u32,
            took,
        }
    }
}
