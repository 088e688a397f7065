//! `[log]`: how the proxy's own log looks, what it tells, and what the access log shows.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

use crate::value::Wrong;
use crate::value::problem::Problems;

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the proxy's own log on stderr looks. Default: JSON, unless stdout is a terminal.
    pub format: Option<Format>,
    /// The least severe events that are logged. Of libraries never less severe ones than warnings.
    pub level: Level,
    /// One JSON line a request on stdout.
    pub access_log: bool,
    /// Request headers whose values the access log shows; `"?"` shows the query.
    pub access_log_headers: Vec<String>,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Text,
}

/// The least severe events that are logged.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            format: None,
            level: Level::Info,
            access_log: false,
            access_log_headers: Vec::new(),
        }
    }
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        let names = ["access_log_headers"];
        for name in self.access_log_headers.iter().filter(|name| *name != "?") {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                problems
                    .error(&names, format!("`{name}` is not a header name"))
                    .help("name request headers, or \"?\" for the query");
            }
        }
        if !self.access_log && !self.access_log_headers.is_empty() {
            problems
                .warning(&names, "has no effect while `access_log` is false")
                .help("set `access_log = true`");
        }
    }

    pub fn with_defaults(self) -> Self {
        let format = if self.is_json() {
            Format::Json
        } else {
            Format::Text
        };
        Config {
            format: Some(format),
            ..self
        }
    }

    pub(super) fn is_json(&self) -> bool {
        match self.format {
            Some(format) => format == Format::Json,
            None => !io::stdout().is_terminal(),
        }
    }
}

impl FromStr for Level {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "off" => Ok(Level::Off),
            "error" => Ok(Level::Error),
            "warn" => Ok(Level::Warn),
            "info" => Ok(Level::Info),
            "debug" => Ok(Level::Debug),
            other => Err(Wrong::new(format!("`{other}` is not a level"))
                .help("write off, error, warn, info or debug")),
        }
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Off => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
        }
    }
}
