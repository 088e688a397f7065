//! A connection to where a route sends bytes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::route::{Target, TcpRoute};
use crate::net::dial::{self, NearEnd};
use crate::net::io::Io;
use crate::upstream;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct From {
    /// None on a unix socket.
    pub client: Option<IpAddr>,
    /// Where the caller had connected to, if the kernel redirected it.
    pub original: Option<SocketAddr>,
}

/// A connection to where bytes go.
pub struct Opened {
    pub io: Io,
    /// The address at its other end.
    pub endpoint: Arc<str>,
    pub held: Held,
}

/// What is to last as long as the connection.
pub struct Held {
    _near_end: Option<NearEnd>,
    _endpoint: Option<upstream::Held>,
}

/// Why there is no connection.
#[derive(Debug)]
pub struct Failure {
    /// In one word, for metrics.
    pub result: &'static str,
    /// In a sentence, for operators.
    pub why: String,
}

impl Failure {
    fn new(result: &'static str, why: impl Into<String>) -> Self {
        Failure {
            result,
            why: why.into(),
        }
    }
}

impl TcpRoute {
    /// Connects to the target. `connect_timeout` is that for original destinations; upstreams have their own.
    ///
    /// # Errors
    /// `refused`, `no_route`, and what the upstream says.
    pub async fn open(&self, from: From, connect_timeout: Duration) -> Result<Opened, Failure> {
        match &self.target {
            Target::Upstream(upstream) => {
                let through = upstream.open(from.client).await;
                let through = through
                    .map_err(|error| Failure::new(error.reason().name, error.to_string()))?;
                Ok(Opened {
                    io: through.io,
                    endpoint: through.endpoint,
                    held: Held {
                        _near_end: None,
                        _endpoint: Some(through.held),
                    },
                })
            }
            Target::OriginalDestination => {
                let address = from.original.ok_or_else(|| {
                    let why =
                        "no route takes it, and the kernel has not redirected it from elsewhere";
                    Failure::new("no_route", why)
                })?;
                let dialled = dial::dial(address, connect_timeout).await;
                let dialled =
                    dialled.map_err(|error| Failure::new("connect_failed", error.to_string()))?;
                Ok(Opened {
                    io: dialled.io,
                    endpoint: address.to_string().into(),
                    held: Held {
                        _near_end: Some(dialled.near_end),
                        _endpoint: None,
                    },
                })
            }
            Target::Refuse => Err(Failure::new("refused", "its route refuses it")),
        }
    }
}
