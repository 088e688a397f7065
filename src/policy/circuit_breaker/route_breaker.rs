//! A route's breaker, and what metrics, log and admin API say of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::header;
use metrics::{Counter, Gauge, counter, gauge};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::breaker::{Breaker, Permit, Refused};
use super::failures::Classes;
use super::state::{Forced, State};
use super::thresholds::Thresholds;
use crate::http::error::{Error, Reason};
use crate::http::semantics::retry_after;
use crate::net::timer;
use crate::policy::build::{self, ShowState};
use crate::value::exposition::Metric;

/// The breaker is open.
pub const CIRCUIT_OPEN: Reason = Reason::new("circuit_open", 503);

pub(super) const STATE: Metric = Metric::gauge(
    "outrigger_circuit_breaker_state",
    "0 closed, 1 half-open, 2 open.",
);
pub(super) const TRANSITIONS: Metric = Metric::counter(
    "outrigger_circuit_breaker_transitions_total",
    "Changes of a circuit breaker's state, by the new one.",
);

/// A route's breaker with the thresholds of one config.
pub(in crate::policy) struct RouteBreaker {
    pub facts: Arc<Facts>,
    pub thresholds: Thresholds,
    pub failures: Classes,
}

impl RouteBreaker {
    pub fn admit(&self) -> Result<Permit, Error> {
        let Facts {
            breaker, reporter, ..
        } = &*self.facts;
        breaker
            .admit(self.facts.now(), &self.thresholds, |state| {
                moved(reporter, state);
            })
            .map_err(|Refused { wait, forced }| {
                let detail = if forced {
                    "an operator holds the circuit breaker open, and the upstream is not asked"
                } else {
                    "the upstream has been failing, and is not asked for now"
                };
                Error::new(CIRCUIT_OPEN, detail).with_header(
                    header::RETRY_AFTER,
                    retry_after::write(Duration::from_millis(wait)),
                )
            })
    }

    pub fn succeeded(&self, permit: Permit) {
        let Facts {
            breaker, reporter, ..
        } = &*self.facts;
        breaker.succeeded(permit, self.facts.now(), &self.thresholds, |state| {
            moved(reporter, state);
        });
    }

    pub fn failed(&self, permit: Permit) {
        let Facts {
            breaker, reporter, ..
        } = &*self.facts;
        let (now, random) = (self.facts.now(), fastrand::f64());
        let moved = |state| moved(reporter, state);
        breaker.failed(permit, now, &self.thresholds, random, moved);
    }

    pub fn abandoned(&self, permit: Permit) {
        self.facts.breaker.abandoned(permit);
    }
}

impl ShowState for RouteBreaker {
    fn state(&self) -> Value {
        let look = self.facts.breaker.look(self.facts.now(), &self.thresholds);
        json!({
            "state": name(look.state),
            "forced": look.forced != Forced::No,
            "retry_in_seconds": look.wait.map(|wait| wait as f64 / 1_000.0),
            "consecutive_failures": look.consecutive,
            "window": { "requests": look.window.requests, "failures": look.window.failures },
        })
    }
}

/// What was seen of a route's upstream, by all workers, and what an operator has ordered.
pub struct Facts {
    breaker: Breaker,
    beginning: Instant,
    pub(super) reporter: OnceLock<Reporter>,
}

impl Default for Facts {
    fn default() -> Self {
        Facts {
            breaker: Breaker::default(),
            beginning: Instant::now(),
            reporter: OnceLock::new(),
        }
    }
}

impl build::Facts for Facts {
    fn apart(&self) -> Self {
        Facts {
            breaker: self.breaker.apart(),
            beginning: self.beginning,
            reporter: OnceLock::new(),
        }
    }
}

impl Facts {
    /// Holds the breaker open or closed, or lets go of it: then it begins anew, closed.
    pub fn force(&self, forced: Forced) {
        if let Some(reporter) = self.reporter.get() {
            let order = match forced {
                Forced::No => "lets go of",
                Forced::Open => "holds open",
                Forced::Closed => "holds closed",
            };
            tracing::warn!(route = %reporter.route, "an operator {order} a circuit breaker");
        }
        self.breaker.force(forced, |state| {
            if let Some(reporter) = self.reporter.get() {
                reporter.count(state);
            }
        });
    }

    /// Milliseconds since the breaker's beginning.
    fn now(&self) -> u64 {
        millis(timer::now().saturating_duration_since(self.beginning))
    }
}

/// Tells metrics and the log of a change.
pub(super) struct Reporter {
    route: Arc<str>,
    state: Gauge,
    /// By the new state.
    transitions: [Counter; 3],
}

impl Reporter {
    pub fn new(route: &Arc<str>) -> Self {
        let to = |state| counter!(TRANSITIONS.name, "route" => route.clone(), "to" => name(state));
        let reporter = Reporter {
            route: route.clone(),
            state: gauge!(STATE.name, "route" => route.clone()),
            transitions: [State::Closed, State::HalfOpen, State::Open].map(to),
        };
        reporter.state.set(0);
        reporter
    }

    fn count(&self, state: State) {
        self.state.set(state as u8);
        self.transitions[state as usize].increment(1);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // The series outlives the breaker, and must not tell of one that is open.
        self.state.set(0);
    }
}

fn moved(reporter: &OnceLock<Reporter>, state: State) {
    let Some(reporter) = reporter.get() else {
        return;
    };
    let route = &*reporter.route;
    match state {
        State::Open => tracing::warn!(route, "a circuit breaker opens: the upstream fails"),
        State::HalfOpen => tracing::info!(route, "a circuit breaker tries the upstream again"),
        State::Closed => tracing::info!(route, "a circuit breaker closes"),
    }
    reporter.count(state);
}

fn name(state: State) -> &'static str {
    match state {
        State::Closed => "closed",
        State::HalfOpen => "half-open",
        State::Open => "open",
    }
}

pub(super) fn millis(length: Duration) -> u64 {
    length.as_millis() as u64
}
