//! Ending without losing a request.

use serde::{Deserialize, Serialize};

use crate::value::Duration;

/// `[shutdown]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long requests in flight may take to finish.
    pub drain_timeout: Duration,
    /// Between failing readiness and closing listeners.
    pub delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            drain_timeout: Duration::from_secs(25),
            delay: Duration::from_secs(0),
        }
    }
}
