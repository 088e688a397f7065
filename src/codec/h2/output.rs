//! Frames on their way out.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::net::io::Io;
use crate::net::write_queue::WriteQueue;

/// Once so much waits, nothing more is asked for.
const ENOUGH: usize = 64 << 10;

#[derive(Default)]
pub struct Output {
    queue: WriteQueue,
    /// Bytes that were ever written.
    total: u64,
}

impl Output {
    /// A place for frames behind what is there.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.queue.buffer()
    }

    /// Adds a piece of a frame's payload.
    pub fn push(&mut self, piece: Bytes) {
        self.queue.push(piece);
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether more of a message's content may be added before the next flush.
    pub fn has_room(&self) -> bool {
        self.queue.len() < ENOUGH && self.queue.buffered() < 2 * ENOUGH
    }

    /// Bytes that were ever written.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Where the next byte will stand among all that are ever written.
    pub fn position(&self) -> u64 {
        self.total + self.queue.len() as u64
    }

    /// Writes until nothing is left.
    pub fn poll_flush(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            self.total += ready!(self.queue.poll_write(io, cx, false))? as u64;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that takes less than there is, for as long as the connection lasts.
    #[test]
    fn what_is_written_is_not_kept_for_ever() {
        let mut out = Output::default();
        for _ in 0..1000 {
            while out.has_room() {
                out.buffer().extend_from_slice(&[b'h'; 9]);
                out.push(Bytes::from_static(&[b'x'; 1000]));
            }
            let position = out.position();
            let taken = out.queue.take(out.waiting().div_ceil(2));
            out.total += taken.len() as u64;
            assert_eq!(out.position(), position);
            assert!(out.queue.buffered() < 3 * ENOUGH);
        }
        assert!(out.total() > 1 << 20);
    }
}
