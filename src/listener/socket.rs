//! Taking an address to listen on, once for every worker.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::ListenAddress;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// An address that is taken, with a listening socket for each worker.
pub struct Taken {
    /// As bound: port 0 has become the one that the kernel chose.
    pub address: ListenAddress,
    pub sockets: Vec<ListenSocket>,
    /// Removes a unix socket's file in the end.
    pub file: Option<SocketFile>,
}

/// One worker's listening socket, not blocking.
pub enum ListenSocket {
    Tcp(std::net::TcpListener),
    Unix(UnixListener),
}

/// Takes `address` for `workers` workers. TCP sockets share it by `SO_REUSEPORT`, so that the kernel spreads
/// connections and no worker wakes another; a unix socket is one, accepted from by all.
///
/// # Errors
/// What the kernel says, with the address; also when another process listens there, which `SO_REUSEPORT` alone
/// would let pass. `ours` says that this process listens there already, under another name.
pub fn take(address: &ListenAddress, workers: usize, ours: bool) -> io::Result<Taken> {
    let taken = match address {
        ListenAddress::Tcp(address) => take_tcp(*address, workers, ours),
        ListenAddress::Unix(path) => take_unix(path, workers, ours),
    };
    taken.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}

fn take_tcp(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Taken> {
    if !ours {
        // Listening without sharing tells whether somebody else is there.
        bind_tcp(address, false)?.listen(BACKLOG)?;
    }
    let first = bind_tcp(address, true)?;
    let address = first
        .local_addr()?
        .as_socket()
        .ok_or(ErrorKind::AddrNotAvailable)?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        sockets.push(bind_tcp(address, true)?);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(Taken {
        address: ListenAddress::Tcp(address),
        sockets: sockets
            .into_iter()
            .map(|socket| ListenSocket::Tcp(socket.into()))
            .collect(),
        file: None,
    })
}

/// Binds a TCP socket, not blocking. Where the machine has no IPv6, `[::]` stands for the addresses that there are.
pub fn bind_tcp(address: SocketAddr, share: bool) -> io::Result<Socket> {
    match bind_one(address, share) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && is_no_ipv6(&error) => {
            bind_one((Ipv4Addr::UNSPECIFIED, address.port()).into(), share)
        }
        bound => bound,
    }
}

fn is_no_ipv6(error: &io::Error) -> bool {
    let without = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|code| without.contains(&code))
}

fn bind_one(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too whatever the host's default is, so that a config means the same everywhere.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    // Accepted connections inherit it, which saves a system call each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn take_unix(path: &Path, workers: usize, ours: bool) -> io::Result<Taken> {
    if ours {
        // Those who wait on the old socket are still accepted; its file makes way for the new one's.
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    let (listener, file) = bind_unix(path)?;
    let mut sockets = vec![listener];
    while sockets.len() < workers {
        sockets.push(sockets[0].try_clone()?);
    }
    Ok(Taken {
        address: ListenAddress::Unix(path.to_owned()),
        sockets: sockets.into_iter().map(ListenSocket::Unix).collect(),
        file: Some(file),
    })
}

/// Binds a unix socket. A socket file that a killed process left behind is replaced; one that somebody listens
/// on, or a file of another kind, is an error.
pub fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let listener = match UnixListener::bind(path) {
        Err(e) if e.kind() == ErrorKind::AddrInUse && is_stale(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    let file = SocketFile::at(path)?;
    Ok((listener, file))
}

/// Whether the file is a socket on which nobody listens any more.
fn is_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

/// The file that a unix socket is reached by.
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let file = std::fs::symlink_metadata(path)?;
        Ok(SocketFile {
            path: path.to_owned(),
            device: file.dev(),
            inode: file.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // By now the path may belong to a process that was started to follow this one.
        let still_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == (self.device, self.inode));
        if still_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
