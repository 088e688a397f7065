//! `pass_through` of a transparent listener: what is not HTTP goes on as it is.

use serde::{Deserialize, Serialize};

use crate::value::Duration;

/// What is not HTTP goes on, as bytes, to where its caller wanted to go.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PassThrough {
    /// A caller that has sent nothing by then waits for its server to speak first.
    pub detect_timeout: Duration,
    /// The longest that connecting may take.
    pub connect_timeout: Duration,
}

impl Default for PassThrough {
    fn default() -> Self {
        PassThrough {
            detect_timeout: Duration::from_millis(300),
            connect_timeout: Duration::from_secs(1),
        }
    }
}
