//! The other end of a downstream connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What is known of a caller's connection, for as long as it lasts.
#[derive(Debug)]
pub struct Peer {
    pub address: PeerAddress,
    /// Name of the listener that accepted it.
    pub listener: Arc<str>,
    /// Whether the connection is encrypted: `X-Forwarded-Proto` and the scheme of forwarded requests.
    pub encrypted: bool,
}

/// Where a caller connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    Tcp(SocketAddr),
    /// Callers on a unix socket have no address.
    Unix,
}

impl PeerAddress {
    /// The IP address, with an IPv4-mapped IPv6 address shown as the IPv4 address that it is.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            PeerAddress::Tcp(address) => Some(address.ip().to_canonical()),
            PeerAddress::Unix => None,
        }
    }
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PeerAddress::Tcp(address) => address.fmt(f),
            PeerAddress::Unix => f.write_str("unix"),
        }
    }
}
