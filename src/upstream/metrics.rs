//! What is counted of an upstream.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::http::error::Error;
use crate::value::exposition::Metric;

pub const REQUESTS: Metric = Metric::counter(
    "outrigger_upstream_requests_total",
    "Attempts to get an answer from an upstream, by how each ended. One that found no place in the pool is none.",
);
pub const DURATION: Metric = Metric::histogram(
    "outrigger_upstream_request_duration_seconds",
    "From handing a request to an upstream to the head of its answer, or to the end of the attempt without one.",
);
pub const CONNECTS: Metric = Metric::counter(
    "outrigger_upstream_connects_total",
    "Attempts to connect to an upstream's endpoints.",
);
pub const CONNECTIONS: Metric = Metric::gauge(
    "outrigger_upstream_connections",
    "Connections to an upstream's endpoints.",
);
pub const PANICS: Metric = Metric::counter(
    "outrigger_upstream_panics_total",
    "Requests sent to an endpoint that was out, because none was in.",
);

/// How an attempt ended: as the head of an answer, or without one.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    Answered(StatusCode),
    /// There was no connection, or it broke.
    Failed,
    /// A time limit passed.
    TimedOut,
    /// The caller went away, or somebody else had answered first.
    Cancelled,
}

/// Handles of one upstream, made once: finding a metric by its labels hashes and locks.
pub struct UpstreamMetrics {
    /// By class of status, 1xx first.
    answered: [Counter; 5],
    failed: Counter,
    timed_out: Counter,
    cancelled: Counter,
    duration: Histogram,
    connected: Counter,
    connect_failed: Counter,
    panics: Counter,
    active: Gauge,
    idle: Gauge,
}

impl UpstreamMetrics {
    pub fn new(upstream: &str) -> Self {
        let name = || upstream.to_owned();
        let ended = |result| counter!(REQUESTS.name, "upstream" => name(), "result" => result);
        UpstreamMetrics {
            answered: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(ended),
            failed: ended("failed"),
            timed_out: ended("timeout"),
            cancelled: ended("cancelled"),
            duration: histogram!(DURATION.name, "upstream" => name()),
            connected: counter!(CONNECTS.name, "upstream" => name(), "result" => "connected"),
            connect_failed: counter!(CONNECTS.name, "upstream" => name(), "result" => "failed"),
            panics: counter!(PANICS.name, "upstream" => name()),
            active: gauge!(CONNECTIONS.name, "upstream" => name(), "state" => "active"),
            idle: gauge!(CONNECTIONS.name, "upstream" => name(), "state" => "idle"),
        }
    }

    /// An attempt ended, after the endpoint had it for so long.
    pub fn ended(&self, ended: Ended, elapsed: Duration) {
        let counter = match ended {
            Ended::Answered(status) => {
                let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
                &self.answered[class]
            }
            Ended::Failed => &self.failed,
            Ended::TimedOut => &self.timed_out,
            Ended::Cancelled => &self.cancelled,
        };
        counter.increment(1);
        self.duration.record(elapsed.as_secs_f64());
    }

    /// A connection was made, or could not be.
    pub fn connected(&self, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.connected.increment(1),
            Err(_) => self.connect_failed.increment(1),
        }
    }

    /// No endpoint was to take requests, and one had to all the same.
    pub fn panicked(&self) {
        self.panics.increment(1);
    }

    /// How many connections there are, over all endpoints.
    pub fn connections(&self, open: usize, idle: usize) {
        self.active.set(open.saturating_sub(idle) as f64);
        self.idle.set(idle as f64);
    }
}
