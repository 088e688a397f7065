//! A socket that is written once per turn of the event loop.
//!
//! On a busy connection many streams have something to send in one turn, each waking the connection's task.
//! Writing at the first would cost a system call a stream. So a flush asks to be run again behind the tasks
//! that are ready now, and writes then what has gathered.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::io::Io;

/// A write of this size goes out at once, from where it lies.
const LARGE: usize = 4 << 10;
/// Once so much is gathered, it goes out at once.
const GATHERED: usize = 32 << 10;

/// The socket of an HTTP/2 connection.
pub struct Coalescing {
    io: Io,
    /// Bytes that were read to tell the protocol.
    early: Bytes,
    gathered: Vec<u8>,
    written: usize,
    /// The flush was put off to the end of this turn.
    put_off: bool,
}

impl Coalescing {
    pub fn new(io: Io, early: Bytes) -> Self {
        Coalescing {
            io,
            early,
            gathered: Vec::new(),
            written: 0,
            put_off: false,
        }
    }

    /// Writes what is gathered, and as much of `more` as the kernel takes; the bytes taken of `more`.
    fn poll_drain(&mut self, cx: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let gathered = &self.gathered[self.written..];
            if gathered.is_empty() && more.is_empty() {
                break;
            }
            let slices = [IoSlice::new(gathered), IoSlice::new(more)];
            let written = ready!(self.io.poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if written >= gathered.len() {
                let taken = written - gathered.len();
                self.clear();
                if taken > 0 || more.is_empty() {
                    return Poll::Ready(Ok(taken));
                }
            } else {
                self.written += written;
            }
        }
        self.clear();
        Poll::Ready(Ok(0))
    }

    fn clear(&mut self) {
        self.written = 0;
        self.put_off = false;
        // A connection without traffic holds no buffer.
        crate::buffer::give_write(std::mem::take(&mut self.gathered));
    }
}

impl AsyncRead for Coalescing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.has_remaining() {
            let taken = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        match &mut self.io {
            Io::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Io::Tls(stream) => {
                let read = ready!(stream.poll_read_slice(cx, buf.initialize_unfilled()))?;
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Coalescing {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.len() >= LARGE || self.gathered.len() >= GATHERED {
            return self.poll_drain(cx, buf);
        }
        if self.gathered.capacity() == 0 {
            self.gathered = crate::buffer::take_write();
        }
        self.gathered.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !self.put_off {
            self.put_off = true;
            cx.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(cx, &[]))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx, &[]))?;
        Poll::Ready(self.io.shutdown_write())
    }
}
