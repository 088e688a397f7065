//! What is counted of rows that are published.

use metrics::counter;

use crate::broker::{Confirmed, Refusal};
use crate::value::exposition::Metric;

pub const RELAYED: Metric = Metric::counter(
    "outrigger_relayed_total",
    "Rows that a relay has tried to publish, by what became of them.",
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

    pub fn relayed(&self, result: &Result<Confirmed, Refusal>) {
        let result = match result {
            Ok(Confirmed { duplicate: false }) => "confirmed",
            Ok(Confirmed { duplicate: true }) => "duplicate",
            Err(refusal) => refusal.name(),
        };
        let relay = self.relay.clone();
        counter!(RELAYED.name, "relay" => relay, "result" => result).increment(1);
    }
}
