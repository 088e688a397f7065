//! One address of an upstream.

use serde::{Deserialize, Serialize};

/// An entry of `endpoints`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EndpointConfig {
    /// `host:port`
    pub address: String,
    /// Share of the requests, relative to the other endpoints.
    pub weight: u32,
}
