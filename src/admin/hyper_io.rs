//! A caller's connection as hyper sees it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::net::io::Io;

/// The most that is read at once, in bytes.
const READ: usize = 16 << 10;

pub struct HyperIo {
    io: Io,
    /// What was read and not taken yet. Nothing is held while there is nothing to read.
    read: BytesMut,
}

impl HyperIo {
    pub fn new(io: Io) -> Self {
        HyperIo {
            io,
            read: BytesMut::new(),
        }
    }
}

impl Read for HyperIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let HyperIo { io, read } = &mut *self;
        if read.is_empty() {
            ready!(io.poll_read_ready(cx))?;
            let mut fresh = BytesMut::with_capacity(READ);
            ready!(io.poll_read(cx, &mut fresh))?;
            *read = fresh;
        }
        let taken = read.len().min(into.remaining());
        into.put_slice(&read.split_to(taken));
        if read.is_empty() {
            *read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back: see [`Io`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.io.shutdown_write())
    }
}
