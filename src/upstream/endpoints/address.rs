//! Where an endpoint listens.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    Tcp(SocketAddr),
    /// This port on the loopback, which a server may have opened by either version of IP: 127.0.0.1, and if
    /// nobody listens there, ::1.
    Localhost(u16),
    Unix(Arc<Path>),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Localhost(port) => write!(f, "localhost:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
