//! What the proxy tells about itself: metrics and logs.

pub mod access_log;
pub mod failures;
pub mod flood;
mod gone;
pub mod log;
pub mod metrics;
mod open_metrics;
mod process;
mod recorder;
pub mod request_metrics;
pub mod requests;
mod route_counts;
mod sink;
mod tally;
pub mod times;
pub mod traces;

use std::sync::Arc;
use std::time::Instant;

use self::log::Log;
use self::metrics::Metrics;
use self::requests::Requests;
use crate::trace;
use crate::value::exposition::Metric;

pub use recorder::Counts;
pub use route_counts::RouteCounts;

/// What is counted of requests, and of this room itself.
pub const METRICS: &[&[Metric]] = &[
    request_metrics::METRICS,
    &[
        log::LINES_DROPPED,
        metrics::BUILD_INFO,
        traces::EXPORTED,
        trace::DROPPED,
    ],
];

/// Metrics and logs of the running process. Dropping it writes out the log lines that still wait.
pub struct Telemetry {
    metrics: Metrics,
    log: Log,
    requests: Arc<Requests>,
}

impl Telemetry {
    /// Installs recorder and log for the whole process, once. `described` are the metrics of all rooms.
    ///
    /// # Errors
    /// When one is installed already, or stdout or stderr cannot be written to.
    pub fn start(
        config: &log::Config,
        described: &[&[Metric]],
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Telemetry {
            metrics: Metrics::install(described)?,
            log: Log::start(config)?,
            requests: Arc::default(),
        })
    }

    /// Drops series of what the config has had no more for long enough. To be called about once a minute.
    pub fn drop_gone_series(&self) {
        self.metrics.drop_gone(Instant::now());
    }

    /// What was counted, to be read back.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What is kept of requests that failed or took long.
    pub fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// `text`, which is in Prometheus's text format, in OpenMetrics 1.0, with requests that stand for others.
    pub fn open_metrics(&self, text: &str) -> String {
        open_metrics::of(text, &self.requests.exemplars())
    }

    /// Everything measured, in Prometheus's text format 0.0.4. `measure` sets the gauges that are read off when somebody asks.
    pub fn render(&self, measure: impl FnOnce()) -> String {
        measure();
        self.log.publish_dropped_lines();
        self.metrics.render()
    }
}
