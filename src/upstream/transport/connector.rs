//! From an address to a connection, encrypted where the upstream wants it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::terms::{Secure, Terms};
use crate::http::error::{CONNECT_FAILED, CONNECT_TIMEOUT, Error, OVERLOADED, TLS_FAILED};
use crate::net::dial::NearEnd;
use crate::net::io::Io;
use crate::process::descriptors;
use crate::tls;
use crate::tls::outbound::Offer;
use crate::upstream::endpoints::address::Address;

/// A connection before its first request.
pub struct Connected {
    pub io: Io,
    pub terms: Terms,
    /// The protocol that both sides agreed on (ALPN).
    pub protocol: Option<Vec<u8>>,
}

/// Connects within `limit`, and shakes hands where TLS is wanted, offering these protocols. `secures` is called when it
/// begins with that.
///
/// # Errors
/// `connect_failed`, `connect_timeout`, `tls_failed`, and `overloaded` where this process has no descriptor left. Addresses and names are in the cause only: callers are not
/// told where an upstream lives, nor what is wrong with its certificate.
pub async fn connect(
    address: &Address,
    limit: Duration,
    secure: Option<(Secure<'_>, Offer)>,
    secures: impl FnOnce(),
) -> Result<Connected, Error> {
    let connecting = async {
        let io = open(address).await?;
        let near_end = match &io {
            Io::Tcp(socket) => NearEnd::of(socket),
            Io::Unix(_) | Io::Tls(_) => None,
        };
        match secure {
            None => Ok(Connected {
                io,
                terms: Terms::plain(near_end),
                protocol: None,
            }),
            // Apart, so that connections without TLS do not carry the room of a handshake along.
            Some((secure, offer)) => {
                secures();
                Box::pin(shake_hands((io, near_end), address, secure, offer)).await
            }
        }
    };
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(
            Error::new(CONNECT_TIMEOUT, "connecting to the upstream took too long").because(
                format!("connecting to {address} took longer than {limit:?}"),
            ),
        ),
    }
}

async fn shake_hands(
    (io, near_end): (Io, Option<Box<NearEnd>>),
    address: &Address,
    secure: Secure<'_>,
    offer: Offer,
) -> Result<Connected, Error> {
    let Secure { client, endpoint } = secure;
    let shaken = tls::handshake::connect(io, client, endpoint, offer).await;
    match shaken {
        Ok(shaken) => Ok(Connected {
            io: shaken.io,
            terms: Terms::secure(client, shaken.valid_until, near_end),
            protocol: shaken.protocol,
        }),
        Err(why) => Err(
            Error::new(TLS_FAILED, "no secure connection to the upstream").because(format!(
                "the TLS handshake with {endpoint} at {address} failed: {why}"
            )),
        ),
    }
}

async fn open(address: &Address) -> Result<Io, Error> {
    let opened = match address {
        Address::Tcp(address) => tcp(&[*address]).await,
        Address::Localhost(port) => {
            tcp(&[
                (Ipv4Addr::LOCALHOST, *port).into(),
                (Ipv6Addr::LOCALHOST, *port).into(),
            ])
            .await
        }
        Address::Unix(path) => UnixStream::connect(path).await.map(Io::Unix),
    };
    let opened = opened.and_then(|io| match &io {
        Io::Tcp(socket) => within_limits(socket).map(|()| io),
        Io::Unix(socket) => within_limits(socket).map(|()| io),
        Io::Tls(_) => Ok(io),
    });
    opened.map_err(|error| {
        let failed = if descriptors::is_lack(&error) {
            // Nothing that the endpoint could be blamed for.
            Error::new(OVERLOADED, "the proxy has too many connections open")
        } else {
            Error::new(CONNECT_FAILED, "no connection to the upstream")
        };
        failed.because(format!("connecting to {address}: {error}"))
    })
}

fn within_limits(socket: impl AsFd) -> std::io::Result<()> {
    if descriptors::is_for_upstreams(socket) {
        Ok(())
    } else {
        Err(descriptors::lack())
    }
}

/// Connects to the first of `addresses` that accepts.
async fn tcp(addresses: &[SocketAddr]) -> std::io::Result<Io> {
    let socket = TcpStream::connect(addresses).await?;
    // A head must not wait for the acknowledgement of an earlier piece of body.
    socket.set_nodelay(true)?;
    Ok(Io::Tcp(socket))
}
