//! What is counted of rows that are published.

use metrics::counter;

use super::batch::Tried;
use crate::value::exposition::Metric;

pub const RELAYED: Metric = Metric::counter(
    "outrigger_relayed_total",
    "Rows that a relay has tried to publish, by what became of them.",
);
pub const HEALTHY: Metric = Metric::gauge(
    "outrigger_relay_healthy",
    "Whether rows are published when there are some, by this process or another one: 1 or 0. One that is paused is healthy.",
);
pub const LAG_ROWS: Metric = Metric::gauge(
    "outrigger_relay_lag_rows",
    "Rows that wait to be published; no more than 100000 are counted.",
);
pub const LAG_SECONDS: Metric = Metric::gauge(
    "outrigger_relay_lag_seconds",
    "Age of the oldest row that waits to be published.",
);
pub const HELD: Metric = Metric::gauge(
    "outrigger_relay_held",
    "Rows that failed, and hold back later rows of their keys.",
);
pub const ASIDE: Metric = Metric::gauge(
    "outrigger_relay_set_aside",
    "Rows that were set aside, with why in their error column; no more than 100000 are counted.",
);

/// Of one relay.
pub(super) struct Metrics {
    relay: String,
}

impl Metrics {
    pub fn new(relay: &str) -> Self {
        Metrics {
            relay: relay.to_owned(),
        }
    }

    /// Counts what became of rows.
    pub fn relayed(&self, tried: &Tried) {
        let confirmed = tried.published.len() as u64 - tried.duplicates;
        self.count("confirmed", confirmed);
        self.count("duplicate", tried.duplicates);
        let refusals = tried.failed.iter().map(|(_, refusal)| refusal);
        for refusal in refusals.chain(&tried.down) {
            self.count(refusal.name(), 1);
        }
    }

    fn count(&self, result: &'static str, rows: u64) {
        if rows > 0 {
            let relay = self.relay.clone();
            counter!(RELAYED.name, "relay" => relay, "result" => result).increment(rows);
        }
    }
}
