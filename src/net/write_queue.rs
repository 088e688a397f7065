//! Bytes that wait to be written, gathered for one system call: heads and small pieces copied together, large pieces
//! between them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::net::buffer;
use crate::net::io::Io;

/// A piece up to this size is copied behind what is there; a larger one is written from where it lies.
const COPIED: usize = 4 << 10;
/// Segments that one system call takes.
pub const SLICES: usize = 16;

#[derive(Default)]
pub struct WriteQueue {
    /// What was copied, of all segments.
    copied: Vec<u8>,
    /// How much of `copied` is written.
    written: usize,
    /// How much of `copied` stands in `segments`.
    counted: usize,
    segments: VecDeque<Segment>,
    /// Bytes in `segments`.
    counted_bytes: usize,
}

/// A run of bytes, in the order in which it is to be written.
enum Segment {
    /// So many bytes of what was copied.
    Copied(usize),
    Piece(Bytes),
}

impl WriteQueue {
    /// A place for bytes behind what is there.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.copied.capacity() == 0 {
            self.copied = buffer::take_write();
        }
        &mut self.copied
    }

    pub fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.buffer().extend_from_slice(&piece);
        } else {
            self.count_copied();
            self.counted_bytes += piece.len();
            self.segments.push_back(Segment::Piece(piece));
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.counted_bytes + self.copied.len() - self.counted
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes in the buffer. What is written of them goes only when all of it is, so a slow reader could make it grow.
    pub fn buffered(&self) -> usize {
        self.copied.len()
    }

    /// Segments that wait, where copied bytes at the end may make one more.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Writes once, and says how many bytes; none when nothing waits. Where `more` follows at once, or the end of the
    /// stream, the last bytes need not leave before that.
    pub fn poll_write(
        &mut self,
        io: &Io,
        cx: &mut Context<'_>,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        if self.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = if self.segments.is_empty() && !more {
            // Nearly always it is one run of bytes, and leaves at once.
            let run = &self.copied[self.counted..];
            ready!(io.poll_write_vectored(cx, &[IoSlice::new(run)]))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.fill(&mut slices);
            let slices = &slices[..filled];
            let wrote = if more {
                io.poll_write_more(cx, slices)
            } else {
                io.poll_write_vectored(cx, slices)
            };
            ready!(wrote)?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn fill<'a>(&'a mut self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        self.count_copied();
        let mut copied = self.written;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(match segment {
                Segment::Copied(length) => {
                    copied += length;
                    &self.copied[copied - length..copied]
                }
                Segment::Piece(piece) => piece,
            });
        }
        self.segments.len().min(SLICES)
    }

    fn advance(&mut self, written: usize) {
        if written == self.len() {
            return self.clear();
        }
        self.count_copied();
        self.counted_bytes -= written;
        let mut left = written;
        while left > 0
            && let Some(segment) = self.segments.front_mut()
        {
            let length = match segment {
                Segment::Copied(length) => *length,
                Segment::Piece(piece) => piece.len(),
            };
            let taken = left.min(length);
            match segment {
                Segment::Copied(length) => {
                    *length -= taken;
                    self.written += taken;
                }
                Segment::Piece(piece) => piece.advance(taken),
            }
            if taken == length {
                self.segments.pop_front();
            }
            left -= taken;
        }
    }

    /// Makes what was copied since the last segment one.
    fn count_copied(&mut self) {
        let fresh = self.copied.len() - self.counted;
        if fresh > 0 {
            self.counted += fresh;
            self.counted_bytes += fresh;
            self.segments.push_back(Segment::Copied(fresh));
        }
    }

    /// Everything is written: the buffer goes back to the worker, as a connection without traffic holds none.
    fn clear(&mut self) {
        buffer::give_write(std::mem::take(&mut self.copied));
        self.written = 0;
        self.counted = 0;
        self.counted_bytes = 0;
        self.segments.clear();
    }

    /// Takes up to `most` bytes as if they had been written.
    #[cfg(test)]
    pub fn take(&mut self, most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.fill(&mut slices);
        let mut taken: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect();
        taken.truncate(most);
        self.advance(taken.len());
        taken
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        buffer::give_write(std::mem::take(&mut self.copied));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However large the pieces are and however the kernel takes them, the bytes stand in order.
        #[test]
        fn bytes_leave_in_order(
            sizes in prop::collection::vec(prop_oneof![0..20usize, 4000..9000usize], 0..40),
            takes in prop::collection::vec(0..30_000usize, 1..8),
        ) {
            let mut queue = WriteQueue::default();
            let (mut pushed, mut written) = (Vec::new(), Vec::new());
            let mut takes = takes.into_iter().cycle();
            for (number, size) in sizes.into_iter().enumerate() {
                let piece = vec![number as u8; size];
                queue.buffer().push(b'h');
                pushed.push(b'h');
                pushed.extend_from_slice(&piece);
                queue.push(piece.into());
                prop_assert_eq!(queue.len(), pushed.len() - written.len());
                if number % 3 == 0 {
                    written.extend(queue.take(takes.next().unwrap()));
                }
            }
            while !queue.is_empty() {
                written.extend(queue.take(takes.next().unwrap() + 1));
            }
            prop_assert_eq!(written, pushed);
            prop_assert_eq!(queue.buffered(), 0);
        }
    }
}
