//! What is counted of an upstream.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::error::Error;
use crate::message::Response;

const REQUESTS: &str = "outrigger_upstream_requests_total";
const DURATION: &str = "outrigger_upstream_request_duration_seconds";
const CONNECTS: &str = "outrigger_upstream_connects_total";
const CONNECTIONS: &str = "outrigger_upstream_connections";
const PANICS: &str = "outrigger_upstream_panics_total";

/// Handles of one upstream, made once: finding a metric by its labels hashes and locks.
pub struct UpstreamMetrics {
    /// By class of status, 1xx first.
    answered: [Counter; 5],
    failed: Counter,
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
        let answered = ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .map(|class| counter!(REQUESTS, "upstream" => name(), "result" => class));
        UpstreamMetrics {
            answered,
            failed: counter!(REQUESTS, "upstream" => name(), "result" => "failed"),
            duration: histogram!(DURATION, "upstream" => name()),
            connected: counter!(CONNECTS, "upstream" => name(), "result" => "connected"),
            connect_failed: counter!(CONNECTS, "upstream" => name(), "result" => "failed"),
            panics: counter!(PANICS, "upstream" => name()),
            active: gauge!(CONNECTIONS, "upstream" => name(), "state" => "active"),
            idle: gauge!(CONNECTIONS, "upstream" => name(), "state" => "idle"),
        }
    }

    /// An attempt came to the head of an answer, or failed.
    pub fn finished(&self, outcome: Result<&Response, &Error>, elapsed: Duration) {
        match outcome {
            Ok(response) => {
                let class = usize::from(response.status.as_u16() / 100).clamp(1, 5) - 1;
                self.answered[class].increment(1);
                self.duration.record(elapsed.as_secs_f64());
            }
            Err(_) => self.failed.increment(1),
        }
    }

    /// A connection was made, or could not be.
    pub fn connected(&self, outcome: Result<(), &Error>) {
        match outcome {
            Ok(()) => self.connected.increment(1),
            Err(_) => self.connect_failed.increment(1),
        }
    }

    /// No endpoint was to take requests; `picked`: one had to all the same.
    pub fn panicked(&self, picked: bool) {
        self.panics.increment(picked.into());
    }

    /// How many connections there are, over all endpoints.
    pub fn connections(&self, open: usize, idle: usize) {
        self.active.set(open.saturating_sub(idle) as f64);
        self.idle.set(idle as f64);
    }
}
