//! What the config says of the connections to endpoints.

use serde::{Deserialize, Serialize};

use crate::value::Limit;

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
            max_connections: 1024,
            max_pending: 1024,
            idle_timeout: Limit::from_secs(3),
            max_age: Limit::NONE,
        }
    }
}
