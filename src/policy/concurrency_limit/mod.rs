//! `concurrency_limit`: how many requests at once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use metrics::{Gauge, gauge};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::build::{self, Build, ShowState};
use super::stack::{Filter, Outcome};
use super::table::{Block, Blocks, FromBlocks};
use crate::http::body::{Body, End, Guard};
use crate::http::error::{Error, OVERLOADED, Reason};
use crate::http::exchange::Exchange;
use crate::http::message::{Request, Response};
use crate::net::timer;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

mod gradient;
mod slots;
mod sync;

use gradient::{Bounds, Gradient};
use slots::Slots;

const LIMIT: Metric = Metric::gauge(
    "outrigger_concurrency_limit",
    "Requests that a route lets in at once.",
);

const FLOOR: u32 = 10;
const CEILING: u32 = 1_000;

/// `concurrency_limit = { max = 100 }`, or `{ adaptive = true }`
///
/// A request counts to the end of its answer, and to the end of the connection that it upgraded.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The limit; with `adaptive` the highest that it may become. Default then: 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<NonZeroU32>,
    /// Let the limit follow the upstream's latency.
    #[serde(default)]
    pub adaptive: bool,
    /// With `adaptive`, the lowest that it may become. Default: 10, or `max` when that is lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<NonZeroU32>,
}

impl Block for Config {
    const METRICS: &[Metric] = &[LIMIT];
    const REASONS: &[Reason] = &[OVERLOADED];

    fn check(&self, problems: &mut Problems) {
        let nothing = &[];
        match (self.max, self.min) {
            (None, _) if !self.adaptive => {
                problems
                    .error(
                        nothing,
                        "neither `max` nor `adaptive` says what the limit is",
                    )
                    .help("write `{ max = 100 }` or `{ adaptive = true }`");
            }
            (_, Some(_)) if !self.adaptive => {
                problems
                    .error(&["min"], "a limit that is not adaptive has no lowest value")
                    .help("remove it, or set `adaptive = true`");
            }
            (Some(max), Some(min)) if min > max => {
                problems
                    .error(&["min"], format!("higher than `max`, which is {max}"))
                    .related(&["max"], "set here");
            }
            (None, Some(min)) if min.get() > CEILING => {
                problems
                    .error(&["min"], format!("higher than `max`, which is {CEILING}"))
                    .help("set `max` as well");
            }
            _ => {}
        }
    }
}

impl Config {
    fn bounds(&self) -> Bounds {
        let ceiling = self.max.map_or(CEILING, NonZeroU32::get);
        let floor = if self.adaptive {
            self.min.map_or(FLOOR.min(ceiling), NonZeroU32::get)
        } else {
            ceiling
        };
        Bounds { floor, ceiling }
    }
}

/// Refuses requests above the limit.
pub(super) struct ConcurrencyLimit(Arc<Limit>);

impl FromBlocks for ConcurrencyLimit {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Some(ConcurrencyLimit::new(blocks.on()?, build))
    }
}

impl ConcurrencyLimit {
    fn new(config: &Config, build: &mut Build<'_>) -> Self {
        let limit = Arc::new(Limit {
            facts: build.keep::<Facts>(),
            bounds: config.bounds(),
            adaptive: config.adaptive,
            gauge: gauge!(LIMIT.name, "route" => build.route.clone()),
        });
        build.show(limit.clone());
        ConcurrencyLimit(limit)
    }
}

impl Filter for ConcurrencyLimit {
    type State<'a> = Entered;

    fn on_request(&self, _: &mut Request, exchange: &Exchange<'_>) -> Result<Entered, Error> {
        let refused = |_: &Error| {
            let trail = exchange.trail();
            trail.acted(
                "concurrency_limit",
                "refuses it: as many as it allows are under way",
            );
        };
        let (slot, in_flight) = self.0.take().inspect_err(refused)?;
        Ok(Entered {
            slot,
            in_flight,
            began: timer::now(),
        })
    }

    fn on_response(&self, entered: Entered, outcome: Outcome) -> Outcome {
        let limit = &*self.0;
        if limit.adaptive && tells_latency(&outcome) {
            limit.sample(entered.began, entered.in_flight);
        }
        Ok(held(entered.slot, outcome?))
    }
}

/// A request that was let in.
pub(super) struct Entered {
    slot: Slot,
    /// How many there were then.
    in_flight: u32,
    began: Instant,
}

/// Keeps the slot to the end of the answer.
fn held(slot: Slot, mut response: Box<Response>) -> Box<Response> {
    let body = std::mem::replace(&mut response.body, Body::empty());
    response.body = body.with_guard(slot);
    response
}

/// A failure may be quick, and says nothing about how long a good answer takes; one that came too late does.
fn tells_latency(outcome: &Result<Box<Response>, Error>) -> bool {
    match outcome {
        Ok(response) => !response.status.is_server_error(),
        Err(error) => error.status() == http::StatusCode::GATEWAY_TIMEOUT,
    }
}

/// A route's limit by one config.
struct Limit {
    facts: Arc<Facts>,
    bounds: Bounds,
    adaptive: bool,
    gauge: Gauge,
}

impl Limit {
    fn now(&self) -> u32 {
        if self.adaptive {
            self.facts.gradient.limit(self.bounds)
        } else {
            self.bounds.ceiling
        }
    }

    fn take(&self) -> Result<(Slot, u32), Error> {
        let limit = self.now();
        if self.facts.told.load(Ordering::Relaxed) != limit {
            self.facts.told.store(limit, Ordering::Relaxed);
            self.gauge.set(limit);
        }
        match self.facts.slots.take(limit) {
            Some(in_flight) => Ok((Slot(self.facts.clone()), in_flight)),
            None => Err(Error::new(
                OVERLOADED,
                "the route has as many requests in flight as it may",
            )),
        }
    }

    fn sample(&self, began: Instant, in_flight: u32) {
        let now = timer::now();
        let millis = now.saturating_duration_since(self.facts.beginning);
        let latency = now.saturating_duration_since(began);
        let gradient = &self.facts.gradient;
        gradient.sample(latency, in_flight, millis.as_millis() as u64, self.bounds);
    }
}

impl ShowState for Limit {
    fn state(&self) -> Value {
        let in_flight = self.facts.slots.taken();
        if self.adaptive {
            json!({
                "in_flight": in_flight,
                "limit": self.now(),
                "long_term_latency_seconds": self.facts.gradient.long_term().as_secs_f64(),
            })
        } else {
            json!({ "in_flight": in_flight, "limit": self.now() })
        }
    }
}

/// Requests in flight, and what was learnt of their latency.
struct Facts {
    slots: Slots,
    gradient: Gradient,
    beginning: Instant,
    /// The limit that the gauge shows.
    told: AtomicU32,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            slots: Slots::default(),
            gradient: Gradient::default(),
            beginning: Instant::now(),
            told: AtomicU32::new(0),
        }
    }
}

impl build::Facts for Facts {
    fn apart(&self) -> Self {
        let slots = Slots::default();
        for _ in 0..self.slots.taken() {
            slots.take(u32::MAX);
        }
        Facts {
            slots,
            gradient: self.gradient.apart(),
            beginning: self.beginning,
            told: AtomicU32::new(0),
        }
    }
}

/// One request that was let in: counts until it is dropped.
struct Slot(Arc<Facts>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.slots.give_back();
    }
}

impl Guard for Slot {
    fn end(&mut self, _: End<'_>, _: u64) {}
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
