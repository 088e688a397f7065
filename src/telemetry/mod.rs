//! What the proxy tells about itself: metrics and logs.

use std::future::Future;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

pub mod access_log;
pub mod log;
pub mod metrics;
mod process;
pub mod request_metrics;
mod sink;

use self::log::Log;
use self::metrics::Metrics;

/// Metrics and logs of the running process. Dropping it writes out the log lines that still wait.
pub struct Telemetry {
    metrics: Metrics,
    log: Log,
}

impl Telemetry {
    /// Installs recorder and log for the whole process, once.
    ///
    /// # Errors
    /// When one is installed already, or stdout or stderr cannot be written to.
    pub fn start(config: &log::Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Telemetry {
            metrics: Metrics::install()?,
            log: Log::start(config)?,
        })
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Everything measured, in Prometheus's text format 0.0.4.
    pub fn render(&self) -> String {
        self.log.publish_dropped_lines();
        self.metrics.render()
    }

    /// Sorts waiting histogram samples into their buckets every second, without end: for a task of its own.
    /// Samples pile up without it.
    pub fn upkeep(&self) -> impl Future<Output = ()> + Send + use<> {
        let handle = self.metrics.handle();
        async move {
            let mut every_second = interval(Duration::from_secs(1));
            every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every_second.tick().await;
                handle.run_upkeep();
            }
        }
    }
}
