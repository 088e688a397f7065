//! What is counted of reloads.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Gauge, gauge};

use crate::value::exposition::Metric;

pub(super) const RELOADS: Metric = Metric::counter(
    "outrigger_config_reloads_total",
    "Reloads of the configuration.",
);

const GENERATION: Metric = Metric::gauge(
    "outrigger_config_generation",
    "Counts up with each configuration that is put to use.",
);

const LAST_SUCCESSFUL: Metric = Metric::gauge(
    "outrigger_config_last_reload_successful",
    "1 when the newest configuration serves, 0 when it was refused.",
);

const LAST_TIMESTAMP: Metric = Metric::gauge(
    "outrigger_config_last_reload_timestamp_seconds",
    "When the last reload was tried, in seconds since 1970.",
);

/// What is counted of reloads.
pub const METRICS: &[Metric] = &[RELOADS, GENERATION, LAST_SUCCESSFUL, LAST_TIMESTAMP];

pub(super) struct Gauges {
    generation: Gauge,
    pub successful: Gauge,
    timestamp: Gauge,
}

impl Gauges {
    pub fn new() -> Self {
        Gauges {
            generation: gauge!(GENERATION.name),
            successful: gauge!(LAST_SUCCESSFUL.name),
            timestamp: gauge!(LAST_TIMESTAMP.name),
        }
    }

    pub fn note(&self, successful: bool, generation: u64) {
        self.generation.set(generation as f64);
        self.successful.set(f64::from(u8::from(successful)));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.timestamp.set(now.as_secs_f64());
    }
}
