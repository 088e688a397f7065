//! `[log]`: the proxy's own log, on stderr, and the access log, on stdout.
//!
//! Two streams, so that a program that reads one line a request from stdout never meets another kind of line.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};

use metrics::counter;
use tracing_appender::non_blocking::NonBlocking;

use super::sink::Sink;
use crate::value::exposition::Metric;

mod config;
mod subscriber;
#[cfg(test)]
mod tests;

pub use config::{Config, Format, Level};
use subscriber::{Switches, subscriber};

pub const LINES_DROPPED: Metric = Metric::counter(
    "outrigger_log_lines_dropped_total",
    "Log lines dropped because their reader was too slow.",
);

/// How many lines wait for a slow reader before further ones are dropped.
const OWN_LINES: usize = 1024;
const ACCESS_LINES: usize = 8192;

/// The running log. Dropping it writes out the lines that still wait, but does not wait long for a reader.
pub struct Log {
    switches: Switches,
    /// The level of the config that was applied last.
    configured: Mutex<Level>,
    level: Mutex<Level>,
    own: Sink,
    access: Mutex<Option<Sink>>,
}

impl Log {
    /// Sends the events of the whole process to stderr.
    ///
    /// # Errors
    /// When a log was started before, or stderr cannot be written to.
    pub fn start(config: &Config) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let own = Sink::new(io::stderr(), "log", OWN_LINES)?;
        let colours = io::stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (subscriber, switches) = subscriber(config, own.writer(), colours);
        tracing::subscriber::set_global_default(subscriber)?;
        Ok(Log {
            switches,
            configured: Mutex::new(config.level),
            level: Mutex::new(config.level),
            own,
            access: Mutex::new(None),
        })
    }

    /// Makes a new config count, at once. A level set by [`Log::set_level`] stays until the config's level changes.
    pub fn apply(&self, config: &Config) {
        self.switches.set_json(config.is_json());
        let mut configured = self
            .configured
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *configured != config.level {
            *configured = config.level;
            self.set_level(config.level);
        }
    }

    /// Sets the level that holds from now on.
    pub fn set_level(&self, level: Level) {
        self.switches.set_level(level);
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
    }

    /// The level that holds.
    pub fn level(&self) -> Level {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where access logs write: stdout. The queue is made when the first one asks.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn access_writer(&self) -> io::Result<NonBlocking> {
        let mut access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = &*access {
            return Ok(sink.writer());
        }
        let sink = Sink::new(io::stdout(), "access-log", ACCESS_LINES)?;
        let writer = sink.writer();
        *access = Some(sink);
        Ok(writer)
    }

    pub(super) fn publish_dropped_lines(&self) {
        let access = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        let access_lines = access.as_ref().map_or(0, Sink::dropped_lines);
        counter!(LINES_DROPPED.name).absolute(self.own.dropped_lines() + access_lines);
    }
}
