//! Whether there is room for one more caller, in the listener and in the process.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UnixStream};

use super::Listener;
use crate::net::io::Io;
use crate::process::descriptors;

/// How long accepting rests when the process is out of descriptors or memory.
const REST: Duration = Duration::from_millis(100);

/// Waits until the listener may have one more connection, and the process one more from a caller.
pub(super) async fn wait(listener: &Listener, io: &mut Io) {
    let limit = listener.config.load().max_connections;
    listener.drain.below(limit).await;
    while !is_for_callers(io) {
        if listener.throttle.may_log() {
            tracing::warn!(
                listener = &*listener.name,
                limit = descriptors::most(),
                "callers wait: almost as many files are open as this process may have"
            );
        }
        tokio::time::sleep(REST).await;
        // Others may have closed meanwhile: then it gets the number of one of them.
        match again(io) {
            Ok(other) if is_for_callers(&other) => *io = other,
            Ok(_) | Err(_) => {}
        }
    }
}

fn is_for_callers(io: &Io) -> bool {
    match io {
        Io::Tcp(socket) => descriptors::is_for_callers(socket),
        Io::Unix(socket) => descriptors::is_for_callers(socket),
        Io::Tls(_) => true,
    }
}

/// The same connection under the lowest number that is free.
fn again(io: &Io) -> io::Result<Io> {
    match io {
        Io::Tcp(socket) => {
            let other = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned()?);
            Ok(Io::Tcp(TcpStream::from_std(other)?))
        }
        Io::Unix(socket) => {
            let other = std::os::unix::net::UnixStream::from(socket.as_fd().try_clone_to_owned()?);
            Ok(Io::Unix(UnixStream::from_std(other)?))
        }
        Io::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// A connection that ended before it was accepted is nothing to rest for.
pub(super) async fn rest(listener: &Listener, error: io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        if listener.throttle.may_log() {
            let listener = &*listener.name;
            tracing::warn!(listener, %error, "connections cannot be accepted for now");
        }
        tokio::time::sleep(REST).await;
    }
}

/// Lets a warning through once in a while.
#[derive(Default)]
pub(super) struct LogThrottle(Mutex<Option<Instant>>);

/// How long the next has to wait.
const PAUSE: Duration = Duration::from_secs(30);

impl LogThrottle {
    fn may_log(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= PAUSE);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
