//! `[log]`: the proxy's own log and the access log.

use serde::{Deserialize, Serialize};

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Default: JSON, unless stdout is a terminal.
    pub format: Option<Format>,
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
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
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
