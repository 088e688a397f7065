//! One attempt to get an answer from an endpoint: how far it is, and what is made of its end, whatever that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::http::error::Error;
use crate::http::message::{Request, Response, ServedBy, Tried, Upload};
use crate::net::cut::{self, Place, Why};
use crate::net::timer;
use crate::upstream::{Endpoint, LoadGuard, Upstream};
use meaning::{End, Facts, Latency, Meaning, Reached};

mod meaning;

pub use meaning::{Verdict, failed_in_trailers};

/// How far an attempt is. Those know it of whom it wants a connection.
#[derive(Debug, Default)]
pub struct Stage {
    step: AtomicU8,
    /// Nanoseconds from its beginning until a connection had the request.
    asked: AtomicU64,
}

/// 0: it has nothing to wait for yet.
const WAITS_FOR_CONNECTION: u8 = 1;
const WAITS_FOR_STREAM: u8 = 2;
const CONNECTS: u8 = 3;
const ASKS: u8 = 4;
/// It has been judged.
const OVER: u8 = 5;

impl Stage {
    /// It waits for a connection of our own pool that others use or make.
    pub fn waits(&self) {
        self.step.store(WAITS_FOR_CONNECTION, Ordering::Relaxed);
    }

    /// It waits until a connection of our own pool takes another stream.
    pub fn waits_for_stream(&self) {
        self.step.store(WAITS_FOR_STREAM, Ordering::Relaxed);
    }

    pub fn connects(&self) {
        self.step.store(CONNECTS, Ordering::Relaxed);
    }

    fn step(&self) -> u8 {
        self.step.load(Ordering::Relaxed)
    }

    fn reached(&self) -> Reached {
        match self.step() {
            CONNECTS => Reached::Endpoint,
            ASKS => Reached::Asked,
            _ => Reached::Queue,
        }
    }

    /// What to tell of an attempt that waited for our own pool in vain.
    fn queued(&self) -> Option<&'static str> {
        match self.step() {
            WAITS_FOR_CONNECTION => {
                Some("no connection of the pool to the upstream became free in time")
            }
            WAITS_FOR_STREAM => {
                Some("no connection of the pool to the upstream took another stream in time")
            }
            _ => None,
        }
    }
}

/// One attempt, until the head of its answer. Dropped before that, it was cut short.
pub struct Attempt<'a> {
    upstream: &'a Upstream,
    load: &'a LoadGuard,
    stage: Stage,
    upload: Option<Arc<Upload>>,
    tried: Option<Arc<Tried>>,
}

impl<'a> Attempt<'a> {
    pub fn new(upstream: &'a Upstream, load: &'a LoadGuard, request: &Request) -> Self {
        Attempt {
            upstream,
            load,
            stage: Stage::default(),
            upload: request.context.upload.clone(),
            tried: request.context.tried.clone(),
        }
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A connection that was there at once takes the request.
    pub fn asks_at_once(&self) {
        self.stage.step.store(ASKS, Ordering::Relaxed);
    }

    /// A connection takes the request now.
    pub fn asks(&self) {
        let waited = timer::now().saturating_duration_since(self.load.started());
        let nanos = waited.as_nanos() as u64;
        self.stage.asked.store(nanos, Ordering::Relaxed);
        self.asks_at_once();
    }

    /// Judges the endpoint by what came of the attempt. `stale`: it went over a connection that the endpoint may have
    /// closed because it was idle. `grpc`: it may have been a call of gRPC.
    pub fn end(&self, outcome: Result<&Response, &Error>, stale: bool, grpc: bool) -> Verdict {
        let reached = self.stage.reached();
        self.stage.step.store(OVER, Ordering::Relaxed);
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
    fn note(&self, end: End<'_>, meaning: &Meaning) {
        let (endpoint, now) = (&**self.load.endpoint(), timer::now());
        let waited = self.waited(now);
        match meaning.latency {
            Latency::Answered => endpoint.load.answered(waited, now),
            Latency::Refused => endpoint.load.refused(waited, now),
            Latency::GivenUp => endpoint.load.given_up(waited, now),
            Latency::Failed => endpoint.load.failed(waited, now),
            Latency::Nothing => {}
        }
        match (meaning.verdict, end) {
            (Verdict::Good, _) => endpoint.standing.answered(),
            (Verdict::Failure, end) => {
                endpoint.standing.failed();
                match end {
                    End::Answered(response) => endpoint.last_error.note(now, Ok(response)),
                    End::Failed(error) => endpoint.last_error.note(now, Err(error)),
                    _ => endpoint.last_error.note_late(now),
                }
            }
            (Verdict::Neither, _) => {}
        }
        if let Some(ended) = meaning.counted {
            self.upstream.metrics().ended(ended, waited);
        }
    }

    /// How long the endpoint has had all that there is of the request.
    fn waited(&self, now: Instant) -> Duration {
        let asked = match self.stage.asked.load(Ordering::Relaxed) {
            // A connection was there at once.
            0 => self.load.started(),
            nanos => self.load.started() + Duration::from_nanos(nanos),
        };
        let since = match &self.upload {
            None => asked,
            Some(upload) => upload.last_piece().max(asked),
        };
        now.saturating_duration_since(since)
    }

    #[cold]
    fn cut_short(&self) {
        let end = match cut::why() {
            Some(Why::Overdue) => End::TimedOut,
            Some(Why::Hurried) => End::CallerTimedOut,
            Some(Why::Unwanted) | None => End::Cancelled,
        };
        let facts = Facts {
            stale: false,
            grpc: false,
            reached: self.stage.reached(),
        };
        self.note(end, &end.meaning(facts));
        cut::tell(|| Place {
            by: self
                .upstream
                .served_by(Some(self.load.endpoint()), self.tried.as_deref()),
            queued: self.stage.queued(),
        });
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.stage.step() != OVER {
            self.cut_short();
        }
    }
}

impl Upstream {
    /// Where a request is or was, which has been to those that were `tried`.
    pub(super) fn served_by(&self, endpoint: Option<&Endpoint>, tried: Option<&Tried>) -> ServedBy {
        let once = usize::from(endpoint.is_some());
        ServedBy {
            upstream: self.name().clone(),
            endpoint: endpoint.map(|endpoint| endpoint.shown.clone()),
            attempts: tried.map_or(once, Tried::count) as u32,
        }
    }
}

#[cfg(test)]
mod tests;
