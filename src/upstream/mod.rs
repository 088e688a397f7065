//! `[upstreams.*]`: the groups of endpoints that requests go to.

use serde::{Deserialize, Serialize};

mod balancer;
mod connector;
mod discovery;
mod endpoint;
mod pool;

pub use balancer::BalancerConfig;
pub use discovery::Discovery;
pub use endpoint::EndpointConfig;

use crate::problem::Problems;
use crate::value::{Duration, Limit, NotBuilt, Toggle};

/// `[upstreams.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `"host:port"`, or `{ address = "host:port", weight = 2 }`. A host name stands for all its addresses.
    pub endpoints: Vec<EndpointConfig>,
    /// How names become addresses.
    #[serde(default)]
    pub discovery: Discovery,
    /// What is spoken to the endpoints.
    #[serde(default)]
    pub protocol: Protocol,
    /// How an endpoint is picked.
    #[serde(default)]
    pub balancer: BalancerConfig,
    /// The longest that connecting may take, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    #[serde(default, skip_serializing)]
    pub tls: Option<NotBuilt>,
    /// Connections to each endpoint.
    #[serde(default)]
    pub pool: PoolConfig,
    #[serde(default, skip_serializing)]
    pub health_check: Option<NotBuilt>,
    /// `false`: endpoints are never ejected, which is all that this version can do.
    #[serde(default, skip_serializing)]
    pub outlier_detection: Option<Toggle<NotBuilt>>,
    #[serde(default, skip_serializing)]
    pub slow_start: Option<NotBuilt>,
    /// Requests at once; more are refused at once with `overloaded`.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: usize,
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if self.endpoints.is_empty() {
            problems.error(&["endpoints"], "an upstream needs at least one endpoint");
        }
    }
}

/// `pool`: limits of the connections to one endpoint.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// Connections at once.
    pub max_connections: usize,
    /// Requests that may wait for a connection; more are refused with `overloaded`.
    pub max_pending: usize,
    /// How long an idle connection is kept. Shorter than servers keep theirs, or a request meets a closed one.
    pub idle_timeout: Limit,
    /// A connection older than this takes no further request.
    pub max_age: Limit,
}

/// What is spoken to the endpoints.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1 in cleartext, except that gRPC goes over HTTP/2 when the caller spoke HTTP/2.
    #[default]
    Auto,
    Http1,
    Http2,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            max_connections: 100,
            max_pending: 1024,
            idle_timeout: Limit::from_secs(3),
            max_age: Limit::NONE,
        }
    }
}

fn connect_timeout() -> Duration {
    Duration::from_secs(1)
}

fn max_in_flight() -> usize {
    1024
}
