//! Where a caller had connected to, before the kernel sent the connection to a listener of ours.

use std::net::{IpAddr, SocketAddr};

use socket2::SockRef;

use crate::net::io::Io;

/// Where the caller had connected to: `SO_ORIGINAL_DST` of Linux's connection tracking. None where the connection was
/// not redirected: the kernel knows nothing of it then (`ENOENT`), or, once there is any rule of nat, says the address
/// at which it was accepted.
pub(super) fn original_destination(io: &Io) -> Option<SocketAddr> {
    let Io::Tcp(stream) = io else { return None };
    let local = canonical(stream.local_addr().ok()?);
    let socket = SockRef::from(stream);
    // One who comes by IPv4 is known there alone, also on a socket that takes both.
    let known = match local.ip() {
        IpAddr::V4(_) => socket.original_dst_v4(),
        IpAddr::V6(_) => socket.original_dst_v6(),
    };
    let original = canonical(known.ok()?.as_socket()?);
    (original != local).then_some(original)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
