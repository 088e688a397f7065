//! A connection to an address, and whether a connection that comes in is one of these.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use super::io::Io;
use crate::process::descriptors;

/// The near ends of the connections that are open.
static NEAR_ENDS: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());

/// Whether anybody is going to ask for them.
static WATCHED: AtomicBool = AtomicBool::new(false);

/// An open connection.
pub struct Dialled {
    pub near_end: NearEnd,
    pub io: Io,
}

/// Known until it is dropped.
#[derive(Debug)]
pub struct NearEnd(SocketAddr);

/// From now on near ends are noted by who makes connections, for [`is_ours`]. Where nobody asks, they cost nothing.
pub fn watch_near_ends() {
    WATCHED.store(true, Ordering::Relaxed);
}

/// Connects within `limit`.
///
/// # Errors
/// What the kernel says, `TimedOut`, and where this process has no descriptor left.
pub async fn dial(address: SocketAddr, limit: Duration) -> io::Result<Dialled> {
    let connecting = tokio::time::timeout(limit, TcpStream::connect(address));
    let socket = connecting.await.map_err(|_| io::ErrorKind::TimedOut)??;
    if !descriptors::is_for_upstreams(&socket) {
        return Err(descriptors::lack());
    }
    socket.set_nodelay(true)?;
    let near_end = NearEnd::note(socket.local_addr()?);
    Ok(Dialled {
        near_end,
        io: Io::Tcp(socket),
    })
}

/// Whether `caller` is the near end of a connection of this process's own.
pub fn is_ours(caller: SocketAddr) -> bool {
    near_ends(|all| all.contains(&canonical(caller)))
}

impl NearEnd {
    /// That of a new connection, before anything is sent over it; None where nobody asks.
    pub fn of(socket: &TcpStream) -> Option<Box<Self>> {
        let is_watched = WATCHED.load(Ordering::Relaxed);
        let address = is_watched.then(|| socket.local_addr().ok()).flatten()?;
        Some(Box::new(NearEnd::note(address)))
    }

    fn note(address: SocketAddr) -> Self {
        let address = canonical(address);
        near_ends(|all| all.insert(address));
        NearEnd(address)
    }
}

impl Drop for NearEnd {
    fn drop(&mut self) {
        near_ends(|all| all.remove(&self.0));
    }
}

fn near_ends<T>(f: impl FnOnce(&mut BTreeSet<SocketAddr>) -> T) -> T {
    f(&mut NEAR_ENDS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_known_by_its_near_end_while_it_is_open() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialled = dial(address, Duration::from_secs(5)).await.unwrap();
        let (_, caller) = listener.accept().await.unwrap();
        assert!(is_ours(caller));
        drop(dialled);
        assert!(!is_ours(caller));
        watch_near_ends();
        let socket = TcpStream::connect(address).await.unwrap();
        let near_end = NearEnd::of(&socket);
        assert!(is_ours(socket.local_addr().unwrap()));
        drop(near_end);
        assert!(!is_ours(socket.local_addr().unwrap()));
    }
}
