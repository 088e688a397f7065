//! The byte stream under a connection, downstream or upstream.
//!
//! Reading and writing go through `&self`, so that one side of an exchange can be read by a body while the other
//! is written by its connection, without a lock or a split. One task reads and one task writes at a time: the
//! kernel's readiness is remembered for the last waker of each direction only.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
#[derive(Debug)]
pub enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Io {
    /// Reads once into `buffer`; 0 is the end of the stream (or a full buffer).
    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        loop {
            let read = match self {
                Io::Tcp(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_read_buf(buffer)
                }
                Io::Unix(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_read_buf(buffer)
                }
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Waits until a read would not block, holding no buffer.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Tcp(socket) => socket.poll_read_ready(cx),
            Io::Unix(socket) => socket.poll_read_ready(cx),
        }
    }

    /// Reads what is there now.
    pub fn try_read(&self, buffer: &mut impl BufMut) -> io::Result<usize> {
        match self {
            Io::Tcp(socket) => socket.try_read_buf(buffer),
            Io::Unix(socket) => socket.try_read_buf(buffer),
        }
    }

    /// Writes once from `slices`.
    pub fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            let written = match self {
                Io::Tcp(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_write_vectored(slices)
                }
                Io::Unix(socket) => {
                    ready!(socket.poll_write_ready(cx))?;
                    socket.try_write_vectored(slices)
                }
            };
            match written {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    /// Writes what the kernel takes now.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Io::Tcp(socket) => socket.try_write(bytes),
            Io::Unix(socket) => socket.try_write(bytes),
        }
    }

    /// Ends the writing direction: the peer reads the end of the stream, and may go on sending.
    pub fn shutdown_write(&self) -> io::Result<()> {
        socket2::SockRef::from(self).shutdown(std::net::Shutdown::Write)
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Io::Tcp(socket) => socket.as_fd(),
            Io::Unix(socket) => socket.as_fd(),
        }
    }
}
