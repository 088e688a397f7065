//! Where a server is, and how it is reached.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tokio::net::{TcpStream, UnixStream};

use crate::net::io::Io;
use crate::net::resolve::{Known, Resolve};
use crate::process::descriptors;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Address {
    /// As `tls` and operators know it: `host:port`, or the path.
    pub fn shown(&self) -> String {
        match self {
            Address::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp(host, port) => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// Whether nobody stands between this process and the server.
    pub fn is_near(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp(host, _) => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// Connects. Says why that failed, for operators.
pub(super) async fn connect(address: &Address, resolver: &dyn Resolve) -> Result<Io, String> {
    let (host, port) = match address {
        Address::Unix(path) => {
            let socket = UnixStream::connect(path).await;
            return socket.map(Io::Unix).map_err(|error| error.to_string());
        }
        Address::Tcp(host, port) => (host, *port),
    };
    let addresses = match host.parse::<IpAddr>() {
        Ok(ip) => vec![ip],
        Err(_) => {
            let found = resolver.addresses(host, Known::default()).await;
            found
                .map_err(|error| format!("it cannot be resolved: {error}"))?
                .what
                .all()
        }
    };
    let addresses: Vec<SocketAddr> = addresses
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    let socket = TcpStream::connect(&addresses[..]).await.and_then(|socket| {
        socket.set_nodelay(true)?;
        if descriptors::is_for_upstreams(&socket) {
            Ok(socket)
        } else {
            Err(descriptors::lack())
        }
    });
    socket.map(Io::Tcp).map_err(|error| error.to_string())
}
