//! From an address to a connected socket.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use crate::error::{CONNECT_FAILED, CONNECT_TIMEOUT, Error};
use crate::io::Io;

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

/// Connects within `limit`.
///
/// # Errors
/// `connect_failed` and `connect_timeout`. The address is in the cause only: callers are not told where an
/// upstream lives.
pub async fn connect(address: &Address, limit: Duration) -> Result<Io, Error> {
    let connecting = async {
        match address {
            Address::Tcp(address) => tcp(&[*address]).await,
            Address::Localhost(port) => {
                tcp(&[
                    (Ipv4Addr::LOCALHOST, *port).into(),
                    (Ipv6Addr::LOCALHOST, *port).into(),
                ])
                .await
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(Io::Unix),
        }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(Ok(io)) => Ok(io),
        Ok(Err(error)) => Err(Error::new(CONNECT_FAILED, "no connection to the upstream")
            .because(format!("connecting to {address}: {error}"))),
        Err(_) => Err(
            Error::new(CONNECT_TIMEOUT, "connecting to the upstream took too long").because(
                format!("connecting to {address} took longer than {limit:?}"),
            ),
        ),
    }
}

/// Connects to the first of `addresses` that accepts.
async fn tcp(addresses: &[SocketAddr]) -> std::io::Result<Io> {
    let socket = TcpStream::connect(addresses).await?;
    // A head must not wait for the acknowledgement of an earlier piece of body.
    socket.set_nodelay(true)?;
    Ok(Io::Tcp(socket))
}
