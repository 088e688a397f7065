//! Closing a listening socket without resetting those who wait on it.
//!
//! The kernel completes handshakes by itself and resets whoever it has not handed out when the socket closes. So
//! nobody new may begin first, and those who began are waited for and accepted.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::http::peer::PeerAddress;
use crate::net::io::Io;

/// How long a handshake that has begun is waited for: a round trip to callers in other regions.
pub(super) const HANDSHAKE: Duration = Duration::from_millis(100);

/// Has the kernel ignore callers who begin a handshake. They ask again after a second, and are told then that
/// nobody listens, or reach whoever does by then. Where the kernel knows no such filter, nothing changes.
#[cfg(target_os = "linux")]
pub(super) fn ignore_new(socket: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    /// Classic BPF over a segment that begins with its TCP header (RFC 9293, section 3.1): drops SYN without ACK.
    const NO_SYN: [SockFilter; 5] = [
        // Load the flags, a byte at offset 13.
        SockFilter::new(0x30, 0, 0, 13),
        // Keep SYN (0x02) and ACK (0x10).
        SockFilter::new(0x54, 0, 0, 0x12),
        // Go on if SYN stands alone, else skip one.
        SockFilter::new(0x15, 0, 1, 0x02),
        // Drop it.
        SockFilter::new(0x06, 0, 0, 0),
        // Take all of it.
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(socket).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "the listening socket takes no filter");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ignore_new(_: &TcpListener) {}

/// Accepts who waits on `socket`, and closes it. Asks the kernel, as the event loop may not have heard of them yet.
pub(super) fn empty_tcp(socket: TcpListener, mut serve: impl FnMut(Io, PeerAddress)) {
    let Ok(socket) = socket.into_std() else {
        return;
    };
    accept_all(
        || socket.accept(),
        |(stream, address)| {
            let stream = stream
                .set_nonblocking(true)
                .and(TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                serve(Io::Tcp(stream), PeerAddress::Tcp(address));
            }
        },
    );
}

/// The same for a unix socket.
pub(super) fn empty_unix(socket: UnixListener, mut serve: impl FnMut(Io, PeerAddress)) {
    let Ok(socket) = socket.into_std() else {
        return;
    };
    accept_all(
        || socket.accept(),
        |(stream, _)| {
            let stream = stream
                .set_nonblocking(true)
                .and(UnixStream::from_std(stream));
            if let Ok(stream) = stream {
                serve(Io::Unix(stream), PeerAddress::Unix);
            }
        },
    );
}

fn accept_all<T>(accept: impl Fn() -> io::Result<T>, mut each: impl FnMut(T)) {
    loop {
        match accept() {
            Ok(accepted) => each(accepted),
            // A caller that has given up, or a signal; others may still wait.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => return,
        }
    }
}
