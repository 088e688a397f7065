//! One attempt after the other, or two beside each other.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::time::Instant;

use super::super::replay::Replay;
use super::super::stack::{Each, Filter, Outcome};
use super::{HedgeAfter, Kind, Length, Retry, again, is_unsent};
use crate::http::body::Body;
use crate::http::error::{Error, Progress, UPSTREAM_TIMEOUT};
use crate::http::exchange::{Back, Why};
use crate::http::message::Request;

/// What an attempt came to.
pub(super) struct Attempted {
    pub outcome: Outcome,
    /// The request, if it failed and came back; its body with it only when none of it went out.
    pub back: Option<Box<Request>>,
}

impl Attempted {
    #[inline]
    fn new(outcome: Outcome, back: Back<'_>) -> Self {
        let mut back = back.into_request();
        if let Some(back) = &mut back
            && !is_unsent(&outcome)
        {
            back.body = Body::empty();
        }
        Attempted { outcome, back }
    }
}

impl Retry {
    /// Sends a request once, and waits no longer than `per_try_timeout`.
    pub(super) async fn attempt(
        &self,
        request: Box<Request>,
        replay: &Replay,
        next: Each<'_, impl Filter>,
    ) -> Attempted {
        let back = replay.back();
        let exchange = next.exchange().attempt(&back);
        let next = next.within(&exchange);
        let outcome = match self.config.per_try_timeout {
            None => next.call(request).await,
            Some(limit) => Box::pin(in_time(limit.0, request, replay, next)).await,
        };
        Attempted::new(outcome, back)
    }

    /// The first attempt of a request whose attempts may be cut.
    pub(super) async fn first(
        &self,
        request: Box<Request>,
        replay: &Replay,
        kind: Kind,
        next: Each<'_, impl Filter>,
    ) -> Attempted {
        let started = Instant::now();
        let attempted = match self.hedge_delay(&request, kind) {
            Some(after) => self.hedged(request, replay, after, kind, next).await,
            None => self.attempt(request, replay, next).await,
        };
        self.learn(&attempted.outcome, started);
        attempted
    }

    /// The first attempt, and when it takes long another beside it. The one that is not needed any more is cut.
    async fn hedged(
        &self,
        request: Box<Request>,
        replay: &Replay,
        after: Length,
        kind: Kind,
        next: Each<'_, impl Filter>,
    ) -> Attempted {
        let mut first = pin!(self.attempt(request, replay, next));
        if let Ok(attempted) = tokio::time::timeout(after, &mut first).await {
            return attempted;
        }
        if !replay.is_complete() || !replay.is_possible(None) || !self.afford() {
            return first.await;
        }
        let Some(request) = again(replay, None, next.exchange().limits()) else {
            return first.await;
        };
        self.hedges.increment(1);
        let trail = next.exchange().trail();
        trail.acted(
            "retry",
            "sends it once more beside the first attempt (`hedge_after`)",
        );
        let second = pin!(self.attempt(request, replay, next));
        let (attempted, other) = match select(first, second).await {
            Either::Left((attempted, second)) => (attempted, second),
            Either::Right((attempted, first)) => (attempted, first),
        };
        match self.class_of(&attempted.outcome, kind) {
            None => attempted,
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

async fn in_time(
    limit: Length,
    request: Box<Request>,
    replay: &Replay,
    next: Each<'_, impl Filter>,
) -> Outcome {
    let mut answer = Box::pin(next.call(request));
    loop {
        match tokio::time::timeout(limit, &mut answer).await {
            Ok(outcome) => return outcome,
            // Neither a long upload nor a slow caller makes a slow upstream.
            Err(_) if !replay.is_complete() => {}
            Err(_) => {
                let trail = next.exchange().trail();
                trail.acted(
                    "retry",
                    format!("waits no longer than {limit:?} for an attempt (`per_try_timeout`)"),
                );
                let detail = "the upstream took too long to answer";
                let error = Error::new(UPSTREAM_TIMEOUT, detail).at(Progress::Sent);
                return Err(next.exchange().cut_late(answer, Why::Overdue, error));
            }
        }
    }
}
