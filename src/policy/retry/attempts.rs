//! One attempt after the other, or two beside each other.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::super::replay::Replay;
use super::super::stack::{Next, Outcome};
use super::{HedgeAfter, Kind, Length, Retry, again};
use crate::http::error::{Error, Progress, UPSTREAM_TIMEOUT};
use crate::http::exchange::Why;
use crate::http::message::Request;

impl Retry {
    /// Sends a request once, and waits no longer than `per_try_timeout`.
    pub(super) async fn attempt(
        &self,
        request: Box<Request>,
        replay: &Replay,
        next: Next<'_>,
    ) -> Outcome {
        let Some(limit) = self.config.per_try_timeout else {
            return next.call(request).await;
        };
        let exchange = next.exchange.attempt();
        let mut answer = next.within(&exchange).call(request);
        loop {
            match tokio::time::timeout(limit.0, &mut answer).await {
                Ok(outcome) => return outcome,
                // Neither a long upload nor a slow caller makes a slow upstream.
                Err(_) if !replay.is_complete() => {}
                Err(_) => {
                    let detail = "the upstream took too long to answer";
                    let error = Error::new(UPSTREAM_TIMEOUT, detail).at(Progress::Sent);
                    return Err(exchange.cut_late(answer, Why::Overdue, error));
                }
            }
        }
    }

    /// The first attempt of a request whose attempts may be cut.
    pub(super) async fn first(
        &self,
        request: Box<Request>,
        replay: &Replay,
        kind: Kind,
        next: Next<'_>,
    ) -> Outcome {
        let started = Instant::now();
        let outcome = match self.hedge_delay(&request, kind) {
            Some(after) => self.hedged(request, replay, after, kind, next).await,
            None => self.attempt(request, replay, next).await,
        };
        self.learn(&outcome, started);
        outcome
    }

    /// The first attempt, and when it takes long another beside it. The one that is not needed any more is cut.
    async fn hedged(
        &self,
        request: Box<Request>,
        replay: &Replay,
        after: Length,
        kind: Kind,
        next: Next<'_>,
    ) -> Outcome {
        let mut first = pin!(self.attempt(request, replay, next));
        if let Ok(outcome) = tokio::time::timeout(after, &mut first).await {
            return outcome;
        }
        if !replay.is_complete() || !replay.is_possible(None) || !self.afford() {
            return first.await;
        }
        let Some(request) = again(replay, None) else {
            return first.await;
        };
        self.hedges.increment(1);
        let second = pin!(self.attempt(request, replay, next));
        let (outcome, other) = match select(first, second).await {
            Either::Left((outcome, second)) => (outcome, second),
            Either::Right((outcome, first)) => (outcome, first),
        };
        match self.class_of(&outcome, kind) {
            None => outcome,
            Some(_) => other.await,
        }
    }

    fn hedge_delay(&self, request: &Request, kind: Kind) -> Option<Length> {
        let may = kind.listed && request.upgrade.is_none();
        match self.config.hedge_after.filter(|_| may)? {
            HedgeAfter::Length(length) => Some(length.0),
            HedgeAfter::P95 => self.facts.latencies.p95(),
        }
    }

    fn learn(&self, outcome: &Outcome, started: Instant) {
        if self.config.hedge_after == Some(HedgeAfter::P95) && outcome.is_ok() {
            self.facts.latencies.record(started.elapsed());
        }
    }
}
