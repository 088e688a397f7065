//! What is counted of messages that are published.

use metrics::{Counter, Histogram, counter, histogram};
use tokio::time::Instant;

use super::answer;
use crate::broker::{Confirmed, Refusal};
use crate::value::exposition::Metric;

pub const PUBLISHED: Metric = Metric::counter(
    "outrigger_published_total",
    "Messages that a route was asked to publish, by what became of them.",
);
pub const DURATION: Metric = Metric::histogram(
    "outrigger_publish_duration_seconds",
    "Time from a message to the broker's word on it.",
);

/// Of one route.
pub(super) struct RouteMetrics {
    route: String,
    confirmed: Counter,
    duration: Histogram,
}

impl RouteMetrics {
    pub fn new(route: &str) -> Self {
        RouteMetrics {
            route: route.to_owned(),
            confirmed: published(
                route.to_owned(),
                answer::label(&Ok(Confirmed { duplicate: false })),
            ),
            duration: histogram!(DURATION.name, "route" => route.to_owned()),
        }
    }

    pub fn start(&self) -> Instant {
        Instant::now()
    }

    pub fn end(&self, started: Instant, result: &Result<Confirmed, Refusal>) {
        self.duration.record(started.elapsed());
        match result {
            Ok(Confirmed { duplicate: false }) => self.confirmed.increment(1),
            _ => published(self.route.clone(), answer::label(result)).increment(1),
        }
    }
}

fn published(route: String, result: &'static str) -> Counter {
    counter!(PUBLISHED.name, "route" => route, "result" => result)
}
