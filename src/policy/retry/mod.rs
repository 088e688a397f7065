//! `retry`: failed requests are sent again, as far as that is safe and the route can afford it.
//!
//! What is sent again begins from the start of its body, so only as much of it is kept as `max_body` says. Once the
//! head of an answer is on its way to the caller, nothing is sent again.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt;
use metrics::{Counter, counter};
use tokio::time::Instant;

use super::build::{self, Build, ShowState};
use super::replay::Replay;
use super::stack::{Each, Filter, Outcome, Repeat};
use super::table::{Blocks, FromBlocks};
use super::timeout;
use crate::http::body::Body;
use crate::http::error::Progress;
use crate::http::exchange::Limits;
use crate::http::message::Request;
use crate::http::semantics::retry_after;
use crate::net::backoff::{Backoff, Jitter};
use crate::value::exposition::Metric;

mod attempts;
mod budget;
mod class;
mod config;
mod hedge;
mod method;

use attempts::Attempted;
use budget::Budget;
pub use class::Class;
pub use config::Config;
pub use hedge::HedgeAfter;
use hedge::Latencies;
pub use method::MethodName;

const RETRIES: Metric = Metric::counter(
    "outrigger_retries_total",
    "Requests sent again, by what made it necessary.",
);
const EXHAUSTED: Metric = Metric::counter(
    "outrigger_retry_budget_exhausted_total",
    "Requests not sent again because their route could not afford it.",
);

/// The longest wait that an upstream may ask for by `Retry-After` where no limit on the request says more.
const LONGEST_WAIT: Length = Length::from_secs(30);
/// So much of the answer that is thrown away is read, so that its connection can be used again.
const DRAINED: u64 = 64 << 10;

type Length = std::time::Duration;

/// What outlives a reload.
#[derive(Default)]
struct Facts {
    budget: Budget,
    latencies: Latencies,
}

impl build::Facts for Facts {
    /// What was seen of other requests decides nothing for the first attempt.
    fn apart(&self) -> Self {
        Facts::default()
    }
}

impl ShowState for Facts {
    fn state(&self) -> serde_json::Value {
        let p95 = self.latencies.p95();
        serde_json::json!({
            "budget_left": self.budget.left(),
            "p95_seconds": p95.map(|length| length.as_secs_f64()),
        })
    }
}

/// Sends failed requests again.
pub(super) struct Retry {
    /// An attempt may be cut before it has an outcome.
    cuts: bool,
    config: Config,
    on: Vec<(Class, Counter)>,
    hedges: Counter,
    exhausted: Counter,
    facts: Arc<Facts>,
}

/// Which classes apply to a request.
#[derive(Clone, Copy)]
struct Kind {
    /// Its method is one of `methods`.
    listed: bool,
    grpc: bool,
}

impl FromBlocks for Retry {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Some(Retry::new(blocks.on()?, build))
    }
}

impl Retry {
    fn new(config: &Config, build: &mut Build<'_>) -> Self {
        let route = build.route.to_string();
        let retries =
            |reason: String| counter!(RETRIES.name, "route" => route.clone(), "reason" => reason);
        let facts: Arc<Facts> = build.keep();
        build.show(facts.clone());
        Retry {
            on: config
                .on
                .iter()
                .map(|class| (*class, retries(class.to_string())))
                .collect(),
            hedges: retries("hedge".to_owned()),
            exhausted: counter!(EXHAUSTED.name, "route" => route.clone()),
            cuts: config.per_try_timeout.is_some() || config.hedge_after.is_some(),
            config: config.clone(),
            facts,
        }
    }

    fn kind(&self, request: &Request) -> Kind {
        let by_grpc_status = self.on.iter().any(|(class, _)| class.is_grpc());
        Kind {
            listed: self.lists(&request.method),
            grpc: by_grpc_status && request.dialect().is_grpc(),
        }
    }

    fn lists(&self, method: &Method) -> bool {
        self.config.methods.iter().any(|listed| listed.0 == *method)
    }

    /// The class of a failure that is worth another attempt, with its counter.
    fn class_of(&self, outcome: &Outcome, kind: Kind) -> Option<&Counter> {
        let outcome = outcome.as_deref();
        // As nearly all are.
        if outcome.is_ok_and(|response| response.status.is_success() && !kind.grpc) {
            return None;
        }
        // What a route answers itself it would only answer again.
        if outcome.is_ok_and(|response| response.served_by.is_none()) {
            return None;
        }
        let applies = |class: Class| {
            class.is_safe()
                || if class.is_grpc() {
                    kind.grpc
                } else {
                    kind.listed
                }
        };
        let mut classes = self.on.iter();
        let found = classes.find(|(class, _)| applies(*class) && class.has(outcome));
        found.map(|(_, counter)| counter)
    }

    /// All that follows on a first failure.
    async fn again(&self, failed: Failed, kind: Kind, next: Each<'_, impl Filter>) -> Outcome {
        let Failed {
            attempted:
                Attempted {
                    mut outcome,
                    mut back,
                },
            replay,
            until,
        } = failed;
        let mut seen = false;
        for nth in 0..self.config.attempts {
            let Some(counter) = self.class_of(&outcome, kind) else {
                break;
            };
            let Some(wait) = self.wait(&outcome, until, nth) else {
                break;
            };
            let trail = next.exchange().trail();
            if !replay.is_possible(back.as_deref()) {
                trail.acted(
                    "retry",
                    "does not send it again: its body is not here any more",
                );
                break;
            }
            if !self.afford() {
                trail.acted(
                    "retry",
                    "does not send it again: the budget of the route is used up",
                );
                break;
            }
            let Some(request) = again(&replay, back, next.exchange().limits()) else {
                break;
            };
            seen |= !is_unsent(&outcome);
            trail.acted("retry", format!("sends it again after {wait:?}"));
            let_go(outcome, wait).await;
            counter.increment(1);
            Attempted { outcome, back } = self.attempt(request, &replay, next).await;
        }
        if seen && is_unsent(&outcome) {
            // What is told of a request is told of all its attempts.
            return outcome.map_err(|error| error.at(Progress::Sent));
        }
        outcome
    }

    /// How long to wait before the `nth` retry, from 0; None when the request's time, `until`, does not allow it.
    fn wait(&self, outcome: &Outcome, until: Option<Instant>, nth: u32) -> Option<Length> {
        let backoff = Backoff {
            first: self.config.backoff.0,
            longest: self.config.max_backoff.0,
            jitter: Jitter::Full,
        };
        let drawn = backoff.after(nth);
        let asked = outcome
            .as_ref()
            .ok()
            .and_then(|response| retry_after::read(&response.headers));
        let wait = drawn.max(asked.unwrap_or_default());
        let room = match until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => LONGEST_WAIT,
        };
        (wait < room).then_some(wait)
    }

    fn afford(&self) -> bool {
        let affords = self.facts.budget.withdraw();
        if !affords {
            self.exhausted.increment(1);
        }
        affords
    }
}

impl Repeat for Retry {
    async fn apply<G: Filter>(&self, mut request: Box<Request>, next: Each<'_, G>) -> Outcome {
        self.facts.budget.deposit(self.config.budget);
        let kind = self.kind(&request);
        let limits = next.exchange().limits();
        let until = [limits.deadline, limits.head_by]
            .into_iter()
            .flatten()
            .min();
        // Of every method, as some failures say that the upstream has not looked at the request.
        let max_body = self.config.max_body.0;
        let (attempted, replay) = if self.cuts {
            let replay = Replay::copy(&mut request, max_body);
            let attempted = Box::pin(self.first(request, &replay, kind, next)).await;
            (attempted, replay)
        } else {
            let replay = Replay::keep(&mut request, max_body);
            let attempted = self.attempt(request, &replay, next).await;
            (attempted, replay)
        };
        if self.class_of(&attempted.outcome, kind).is_none() {
            return attempted.outcome;
        }
        let failed = Failed {
            attempted,
            replay,
            until,
        };
        Box::pin(self.again(failed, kind, next)).await
    }
}

/// A first attempt that failed in a way that is worth another.
struct Failed {
    attempted: Attempted,
    replay: Replay,
    /// When the head of the answer must be here.
    until: Option<Instant>,
}

/// Nobody but the proxy has seen that attempt.
fn is_unsent(outcome: &Outcome) -> bool {
    outcome
        .as_ref()
        .is_err_and(|error| error.progress() == Progress::Unsent)
}

fn again(replay: &Replay, back: Option<Box<Request>>, limits: &Limits) -> Option<Box<Request>> {
    let mut request = replay.again(back)?;
    timeout::tell_time_left(&mut request, limits);
    Some(request)
}

/// Waits, and reads meanwhile what is left of a failed answer, so that its connection can be used again.
async fn let_go(outcome: Outcome, wait: Length) {
    let until = Instant::now() + wait;
    if let Ok(response) = outcome {
        // Not to the end within the wait: the connection closes with it.
        let _ = tokio::time::timeout_at(until, drain(response.body)).await;
    }
    tokio::time::sleep_until(until).await;
}

async fn drain(mut body: Body) {
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, |data| data.len() as u64);
        if read > DRAINED {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
