//! `circuit_breaker`: stops asking an upstream that fails, and tries again with a few requests.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::build::Build;
use super::graphql;
use super::orders::OrderKind;
use super::stack::{Filter, Outcome};
use super::table::{Block, Blocks, FromBlocks};
use crate::http::error::{Error, Reason};
use crate::http::exchange::Exchange;
use crate::http::grpc::Dialect;
use crate::http::message::Request;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{self, Toggle};

mod breaker;
mod failures;
mod order;
mod route_breaker;
mod sample;
mod state;
mod sync;
mod thresholds;
mod window;
mod word;

use failures::{Classes, Failure};
use route_breaker::{CIRCUIT_OPEN, Facts, Reporter, RouteBreaker, STATE, TRANSITIONS, millis};
use sample::{Call, Sample, Waiting};
use thresholds::Thresholds;

/// `circuit_breaker = { consecutive_failures = 5, failure_ratio = 0.5, recovery_timeout = "30s" }`
///
/// It opens at `consecutive_failures`, or when `failure_ratio` of at least `min_requests` have failed within
/// `window`, whichever comes first. Requests are judged at the end of their answer; those whose caller went away,
/// and those that other policies refused, are not judged at all.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Failures without a success between them. Default: 5; `false`: however many.
    pub consecutive_failures: Toggle<NonZeroU32>,
    /// Failures among the requests of `window`, from above 0 to 1. Default: 0.5; `false`: however many.
    pub failure_ratio: Toggle<f64>,
    /// Default: 10 s, counted in tenths.
    pub window: value::Duration,
    /// Fewer requests in `window` say nothing about a ratio. Default: 10.
    pub min_requests: NonZeroU32,
    /// How long requests are refused before a few are tried, less up to a tenth, so that many proxies do not try at
    /// once. Doubles with each time that they fail. Default: 30 s.
    pub recovery_timeout: value::Duration,
    /// It doubles up to this. Default: 5 min.
    pub max_recovery: value::Duration,
    /// How many are tried; all of them must succeed. One that takes longer than the breaker was open makes room for
    /// another. Default: 1.
    pub half_open_requests: NonZeroU32,
    /// What is a failure: `"5xx"`, `"timeout"`, `"connect"`, `"reset"`, `"grpc"`, `"graphql"`, or a status such as 429.
    pub failures: Vec<Failure>,
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            consecutive_failures: Toggle::On(at_least_one(5)),
            failure_ratio: Toggle::On(0.5),
            window: value::Duration::from_secs(10),
            min_requests: at_least_one(10),
            recovery_timeout: value::Duration::from_secs(30),
            max_recovery: value::Duration::from_secs(300),
            half_open_requests: at_least_one(1),
            failures: Failure::usual(),
        }
    }
}

impl Block for Config {
    const METRICS: &[Metric] = &[STATE, TRANSITIONS];
    const ORDERS: &[OrderKind] = &[order::BREAKER];
    const REASONS: &[Reason] = &[CIRCUIT_OPEN];

    fn check(&self, problems: &mut Problems) {
        if let Toggle::On(ratio) = self.failure_ratio
            && !(ratio > 0.0 && ratio <= 1.0)
        {
            problems
                .error(&["failure_ratio"], "must be above 0, and at most 1")
                .help("0.5 opens the breaker when half of the requests fail");
        }
        if self.consecutive_failures == Toggle::Off && self.failure_ratio == Toggle::Off {
            problems
                .error(
                    &["failure_ratio"],
                    "nothing is left that would open the breaker",
                )
                .help("set one of `failure_ratio` and `consecutive_failures`")
                .related(&["consecutive_failures"], "turned off as well");
        }
        for (key, length) in [
            ("window", self.window),
            ("recovery_timeout", self.recovery_timeout),
        ] {
            if length.0 < Duration::from_millis(10) {
                problems.error(&[key], "must be at least \"10ms\"");
            }
        }
        if self.max_recovery < self.recovery_timeout {
            problems
                .error(
                    &["recovery_timeout"],
                    format!("longer than `max_recovery`, which is {}", self.max_recovery),
                )
                .help("raise `max_recovery`");
        }
        if self.failures.is_empty() {
            problems
                .error(
                    &["failures"],
                    "a breaker for which nothing is a failure never opens",
                )
                .help("write `circuit_breaker = false` to turn it off");
        }
    }

    fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
        let graphql = others.on::<graphql::Config>();
        let tells_errors = graphql.is_some_and(|graphql| graphql.errors_are_failures);
        if self.failures.contains(&Failure::GraphQl) && !tells_errors {
            problems
                .warning(
                    &["failures"],
                    "\"graphql\" never happens: the route has no `graphql` that makes failures of errors",
                )
                .help("set `graphql = {}` on the route or in `[defaults]`");
        }
    }
}

impl Config {
    fn thresholds(&self) -> Thresholds {
        Thresholds {
            consecutive_failures: self.consecutive_failures.on().map(|most| most.get()),
            failure_ratio: self.failure_ratio.on().copied(),
            min_requests: self.min_requests.get().into(),
            window: millis(self.window.0),
            recovery: millis(self.recovery_timeout.0),
            max_recovery: millis(self.max_recovery.0),
            probes: self.half_open_requests.get(),
        }
    }
}

/// Refuses requests while the breaker is open.
pub(super) struct CircuitBreaker(Arc<RouteBreaker>);

impl FromBlocks for CircuitBreaker {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Some(CircuitBreaker::new(blocks.on()?, build))
    }
}

impl CircuitBreaker {
    fn new(config: &Config, build: &mut Build<'_>) -> Self {
        let facts = build.keep::<Facts>();
        facts.reporter.get_or_init(|| Reporter::new(&build.route));
        let breaker = Arc::new(RouteBreaker {
            facts,
            thresholds: config.thresholds(),
            failures: Classes::new(&config.failures),
        });
        build.show(breaker.clone());
        CircuitBreaker(breaker)
    }
}

impl Filter for CircuitBreaker {
    type State<'a> = Waiting<'a>;

    fn on_request<'a>(
        &'a self,
        request: &mut Request,
        exchange: &'a Exchange<'a>,
    ) -> Result<Waiting<'a>, Error> {
        let breaker = &*self.0;
        let dialect = if breaker.failures.grpc {
            request.dialect()
        } else {
            Dialect::Http
        };
        let call = dialect.is_grpc().then_some(Call {
            hurried: exchange.limits().hurried,
            is_web: dialect.is_web(),
        });
        let refused = |_: &Error| {
            exchange
                .trail()
                .acted("circuit_breaker", "lets nothing through")
        };
        Ok(Waiting {
            sample: Sample::new(breaker, breaker.admit().inspect_err(refused)?),
            call,
            exchange,
        })
    }

    fn on_response(&self, mut waiting: Waiting<'_>, outcome: Outcome) -> Outcome {
        match outcome {
            Ok(response) => Ok(waiting.sample.head(response, waiting.call, &self.0)),
            Err(error) => {
                waiting.sample.error(&error);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
