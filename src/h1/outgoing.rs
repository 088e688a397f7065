//! What is to be written, gathered for one system call.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;

use super::chunked;
use super::framing::Framing;
use crate::buffer;
use crate::io::Io;

/// A piece up to this size is copied behind what is gathered already; a larger one is written from where it lies.
const COPIED: usize = 4 << 10;
/// Once so much is gathered, it is written before more is taken.
const GATHERED: usize = 16 << 10;

/// Bytes on their way out: heads and small pieces copied together, then at most one large piece.
#[derive(Default)]
pub struct Outgoing {
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    piece: Bytes,
    /// The line end behind a large chunk.
    after: &'static [u8],
    /// Bytes written since the last [`Outgoing::start`].
    total: u64,
}

impl Outgoing {
    /// A place for a head, at the start of a message.
    pub fn start(&mut self) -> &mut Vec<u8> {
        self.total = 0;
        self.more()
    }

    /// A place for bytes behind what is there. There must be room.
    pub fn more(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.piece.is_empty() && self.after.is_empty());
        if self.gathered.capacity() == 0 {
            self.gathered = buffer::take_write();
        }
        &mut self.gathered
    }

    /// Bytes written since the last start.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.written == self.gathered.len() && self.piece.is_empty() && self.after.is_empty()
    }

    /// Whether another piece may be added before the next flush.
    pub fn has_room(&self) -> bool {
        self.piece.is_empty() && self.after.is_empty() && self.gathered.len() < GATHERED
    }

    /// Adds a piece of a body.
    pub fn push(&mut self, framing: Framing, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let chunked = framing == Framing::Chunked;
        let out = self.more();
        if chunked {
            chunked::put_size(out, data.len());
        }
        if data.len() <= COPIED {
            out.extend_from_slice(&data);
            if chunked {
                out.extend_from_slice(b"\r\n");
            }
        } else {
            self.piece = data;
            self.after = if chunked { b"\r\n" } else { b"" };
        }
    }

    /// Adds the end of a body.
    pub fn end(&mut self, framing: Framing, trailers: Option<&HeaderMap>) {
        if framing == Framing::Chunked {
            chunked::put_end(self.more(), trailers);
        }
    }

    /// Writes until nothing is left.
    pub fn poll_flush(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let slices = [
                IoSlice::new(&self.gathered[self.written..]),
                IoSlice::new(&self.piece),
                IoSlice::new(self.after),
            ];
            let written = ready!(io.poll_write_vectored(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        buffer::give_write(std::mem::take(&mut self.gathered));
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        self.total += written as u64;
        let first = written.min(self.gathered.len() - self.written);
        self.written += first;
        let second = (written - first).min(self.piece.len());
        self.piece.advance(second);
        self.after = &self.after[written - first - second..];
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        buffer::give_write(std::mem::take(&mut self.gathered));
    }
}
