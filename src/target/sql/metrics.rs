//! What is counted of statements.

use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;

use super::answer;
use crate::database::Failure;
use crate::value::exposition::Metric;

pub const STATEMENTS: Metric = Metric::counter(
    "outrigger_statements_total",
    "Statements that a route had a database run, by what became of them.",
);
pub const DURATION: Metric = Metric::histogram(
    "outrigger_statement_duration_seconds",
    "Time from a statement to its result, the wait for a connection included.",
);

/// Of one route.
pub(super) struct RouteMetrics {
    route: String,
    done: Counter,
    duration: Histogram,
}

impl RouteMetrics {
    pub fn new(route: &str) -> Self {
        let name = || route.to_owned();
        RouteMetrics {
            route: name(),
            done: counter!(STATEMENTS.name, "route" => name(), "result" => "ok"),
            duration: histogram!(DURATION.name, "route" => name()),
        }
    }

    pub fn end<T>(&self, started: Instant, result: &Result<T, Failure>) {
        self.duration.record(started.elapsed());
        match result {
            Ok(_) => self.done.increment(1),
            Err(failure) => {
                let (route, result) = (self.route.clone(), answer::label(failure));
                counter!(STATEMENTS.name, "route" => route, "result" => result).increment(1);
            }
        }
    }
}
