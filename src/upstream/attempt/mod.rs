//! One attempt to get an answer from an endpoint: how far it is, and what is made of its end, whatever that is.

use std::time::Duration;

use tokio::time::Instant;

use crate::http::error::Error;
use crate::http::exchange::{Exchange, Place, Why};
use crate::http::message::{Response, ServedBy, Tried};
use crate::net::timer;
use crate::upstream::{Endpoint, LoadGuard, Upstream};
use meaning::{End, Facts, Latency, Meaning};

mod meaning;
mod stage;

pub use meaning::{Verdict, failed_behind};
pub use stage::Stage;

/// One attempt, until the head of its answer. Dropped before that, it was cut short.
pub struct Attempt<'a> {
    upstream: &'a Upstream,
    load: &'a LoadGuard,
    exchange: &'a Exchange<'a>,
    stage: Stage,
    tried: Option<&'a Tried>,
}

impl<'a> Attempt<'a> {
    pub fn new(
        upstream: &'a Upstream,
        load: &'a LoadGuard,
        exchange: &'a Exchange<'a>,
        tried: Option<&'a Tried>,
    ) -> Self {
        Attempt {
            upstream,
            load,
            exchange,
            stage: Stage::default(),
            tried,
        }
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A connection that was there at once takes the request.
    pub fn asks_at_once(&self) {
        self.stage.asks_at_once();
    }

    /// A connection takes the request now.
    pub fn asks(&self) {
        let waited = timer::now().saturating_duration_since(self.load.started());
        self.stage.asks(waited);
    }

    /// Judges the endpoint by what came of the attempt. `stale`: it went over a connection that the endpoint may have
    /// closed because it was idle. `grpc`: it may have been a call of gRPC.
    pub fn end(&self, outcome: Result<&Response, &Error>, stale: bool, grpc: bool) -> Verdict {
        let reached = self.stage.reached();
        self.stage.end();
        let end = match outcome {
            Ok(response) => End::Answered(response),
            Err(error) => End::Failed(error),
        };
        let facts = Facts {
            stale,
            grpc,
            reached,
        };
        let meaning = end.meaning(facts);
        self.note(end, &meaning);
        meaning.verdict
    }

    /// Tells everybody who keeps account of the endpoint.
    #[inline]
    fn note(&self, end: End<'_>, meaning: &Meaning) {
        let (endpoint, now) = (&**self.load.endpoint(), timer::now());
        let waited = self.waited(now);
        // As nearly all are.
        if meaning.latency == Latency::Answered {
            endpoint.load.answered(waited, now);
        } else {
            self.note_latency(meaning.latency, waited, now);
        }
        match meaning.verdict {
            Verdict::Good => endpoint.standing.answered(),
            Verdict::Failure => self.blame(end, now),
            Verdict::Neither => {}
        }
        if let Some(ended) = meaning.counted {
            self.upstream.metrics().ended(ended, waited);
        }
    }

    #[cold]
    fn note_latency(&self, latency: Latency, waited: Duration, now: Instant) {
        let load = &self.load.endpoint().load;
        match latency {
            Latency::Answered => load.answered(waited, now),
            Latency::Refused => load.refused(waited, now),
            Latency::GivenUp => load.given_up(waited, now),
            Latency::Failed => load.failed(waited, now),
            Latency::Nothing => {}
        }
    }

    #[cold]
    fn blame(&self, end: End<'_>, now: Instant) {
        let endpoint = &**self.load.endpoint();
        endpoint.standing.failed();
        match end {
            End::Answered(response) => endpoint.last_error.note(now, Ok(response)),
            End::Failed(error) => endpoint.last_error.note(now, Err(error)),
            _ => endpoint.last_error.note_late(now),
        }
    }

    /// How long the endpoint has had all that there is of the request.
    fn waited(&self, now: Instant) -> Duration {
        let asked = self.load.started() + self.stage.asked();
        let since = match self.exchange.upload() {
            None => asked,
            Some(upload) => upload.last_piece().max(asked),
        };
        now.saturating_duration_since(since)
    }

    #[cold]
    fn cut_short(&self) {
        let end = match self.exchange.why() {
            Why::Overdue => End::TimedOut,
            Why::Hurried => End::CallerTimedOut,
            Why::Unwanted => End::Cancelled,
        };
        let facts = Facts {
            stale: false,
            grpc: false,
            reached: self.stage.reached(),
        };
        self.note(end, &end.meaning(facts));
        let sent = self.tried.map_or(1, Tried::count);
        self.exchange.was_at(Place {
            by: self.upstream.served_by(Some(self.load.endpoint()), sent),
            queued: self.stage.queued(),
        });
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.stage.is_over() {
            self.cut_short();
        }
    }
}

impl Upstream {
    /// Where a request is or was, which was `sent` so often.
    pub(super) fn served_by(&self, endpoint: Option<&Endpoint>, sent: usize) -> ServedBy {
        ServedBy {
            upstream: self.name().clone(),
            endpoint: endpoint.map(|endpoint| endpoint.shown.clone()),
            attempts: sent as u32,
        }
    }
}

#[cfg(test)]
mod tests;
