//! A connection as hyper sees it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::net::io::Io;

/// The most that is read at once, in bytes.
const READ: usize = 16 << 10;

pub(super) struct Stream {
    io: Io,
    /// What was read and not taken yet.
    read: BytesMut,
}

impl Stream {
    pub fn new(io: Io) -> Self {
        Stream {
            io,
            read: BytesMut::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Stream { io, read } = &mut *self;
        if read.is_empty() {
            read.reserve(READ);
            ready!(io.poll_read(cx, read))?;
        }
        let taken = read.len().min(into.remaining());
        into.put_slice(&read.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Nothing is held back: see [`Io`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.say_goodbye();
        Poll::Ready(self.io.shutdown_write())
    }
}
