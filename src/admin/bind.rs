//! Taking the admin API's address: before serving, so that a start that cannot have it fails and says so.

use std::io;
use std::path::Path;

use tokio::net::{TcpListener, UnixListener};

use super::address::AdminAddress;
use crate::listener::{self, ListenAddress, SocketFile};

/// A bound address. Dropping it lets go of the address and removes the socket file.
pub struct Bound {
    pub(super) socket: Socket,
    address: ListenAddress,
}

pub(super) enum Socket {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        _file: SocketFile,
    },
}

/// Binds `address`, unless it is `"none"`. Must be called within a tokio runtime.
///
/// # Errors
/// What the kernel says, with the address. A socket file that a killed process left behind is replaced; one that
/// somebody listens on, or a file of another kind, is an error.
pub fn bind(address: &AdminAddress) -> io::Result<Option<Bound>> {
    let Some(address) = &address.0 else {
        return Ok(None);
    };
    let bound = match address {
        ListenAddress::Tcp(address) => bind_tcp(*address),
        ListenAddress::Unix(path) => bind_unix(path),
    };
    let bound =
        bound.map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))?;
    Ok(Some(bound))
}

impl Bound {
    /// As bound: port 0 has become the one that the kernel chose.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }
}

fn bind_tcp(address: std::net::SocketAddr) -> io::Result<Bound> {
    let socket = listener::bind_tcp(address, false)?;
    socket.listen(listener::BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok(Bound {
        address: ListenAddress::Tcp(listener.local_addr()?),
        socket: Socket::Tcp(listener),
    })
}

fn bind_unix(path: &Path) -> io::Result<Bound> {
    let (listener, file) = listener::bind_unix(path)?;
    Ok(Bound {
        address: ListenAddress::Unix(path.to_owned()),
        socket: Socket::Unix {
            listener: UnixListener::from_std(listener)?,
            _file: file,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};

    fn unix(path: &Path) -> AdminAddress {
        AdminAddress(Some(ListenAddress::Unix(path.to_owned())))
    }

    #[tokio::test]
    async fn none_binds_nothing() {
        assert!(bind(&AdminAddress(None)).unwrap().is_none());
    }

    #[tokio::test]
    async fn port_0_is_resolved_and_a_taken_port_is_an_error_that_names_it() {
        let any = AdminAddress(Some("127.0.0.1:0".parse().unwrap()));
        let first = bind(&any).unwrap().unwrap();
        assert_ne!(first.address().to_string(), "127.0.0.1:0");
        let again = bind(&AdminAddress(Some(first.address().clone())));
        let message = again.err().unwrap().to_string();
        assert!(message.starts_with(&format!("cannot listen on {}: ", first.address())));
    }

    #[tokio::test]
    async fn a_stale_socket_file_is_replaced_and_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        // The standard library leaves the file behind, as a killed process does.
        drop(StdUnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let bound = bind(&unix(&path)).unwrap().unwrap();
        StdUnixStream::connect(&path).unwrap();
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_living_socket_and_other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let first = bind(&unix(&path)).unwrap().unwrap();
        assert!(bind(&unix(&path)).is_err());
        StdUnixStream::connect(&path).unwrap();
        drop(first);
        std::fs::write(&path, "precious").unwrap();
        assert!(bind(&unix(&path)).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[tokio::test]
    async fn the_file_of_a_successor_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let first = bind(&unix(&path)).unwrap().unwrap();
        std::fs::rename(&path, directory.path().join("moved.sock")).unwrap();
        let second = bind(&unix(&path)).unwrap().unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
