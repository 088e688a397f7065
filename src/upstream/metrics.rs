//! What is counted of an upstream.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::http::error::Error;

const REQUESTS: &str = "outrigger_upstream_requests_total";
const DURATION: &str = "outrigger_upstream_request_duration_seconds";
const CONNECTS: &str = "outrigger_upstream_connects_total";
const CONNECTIONS: &str = "outrigger_upstream_connections";
const PANICS: &str = "outrigger_upstream_panics_total";

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
        let ended = |result| counter!(REQUESTS, "upstream" => name(), "result" => result);
        UpstreamMetrics {
            answered: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(ended),
            failed: ended("failed"),
            timed_out: ended("timeout"),
            cancelled: ended("cancelled"),
            duration: histogram!(DURATION, "upstream" => name()),
            connected: counter!(CONNECTS, "upstream" => name(), "result" => "connected"),
            connect_failed: counter!(CONNECTS, "upstream" => name(), "result" => "failed"),
            panics: counter!(PANICS, "upstream" => name()),
            active: gauge!(CONNECTIONS, "upstream" => name(), "state" => "active"),
            idle: gauge!(CONNECTIONS, "upstream" => name(), "state" => "idle"),
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
