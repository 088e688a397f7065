//! Frames on their way out, gathered for one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use crate::buffer;
use crate::io::Io;

/// A piece up to this size is copied behind what is gathered; a larger one is written from where it lies.
const COPIED: usize = 4 << 10;
/// Once so much waits, nothing more is asked for.
const ENOUGH: usize = 64 << 10;
/// Segments that one system call takes.
const SLICES: usize = 16;

#[derive(Default)]
pub struct Output {
    /// What was copied, of all segments.
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    /// How much of `gathered` stands in `segments`.
    counted: usize,
    segments: VecDeque<Segment>,
    /// Bytes in `segments`.
    waiting: usize,
    /// Bytes that were ever written.
    total: u64,
}

/// A run of bytes, in the order in which it is to be written.
enum Segment {
    /// So many bytes of what is gathered.
    Gathered(usize),
    Piece(Bytes),
}

impl Output {
    /// A place for frames behind what is there.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        if self.gathered.capacity() == 0 {
            self.gathered = buffer::take_write();
        }
        &mut self.gathered
    }

    /// Adds a piece of a frame's payload.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.buffer().extend_from_slice(&piece);
        } else {
            self.count_gathered();
            self.waiting += piece.len();
            self.segments.push_back(Segment::Piece(piece));
        }
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.waiting + self.gathered.len() - self.counted
    }

    pub fn is_empty(&self) -> bool {
        self.waiting() == 0
    }

    /// Whether more of a message's content may be added before the next flush.
    pub fn has_room(&self) -> bool {
        // What is written of the gathered bytes goes only when all of it is: a slow peer must not make it grow.
        self.waiting() < ENOUGH && self.gathered.len() < 2 * ENOUGH
    }

    /// Bytes that were ever written.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Where the next byte will stand among all that are ever written.
    pub fn position(&self) -> u64 {
        self.total + self.waiting() as u64
    }

    /// Writes until nothing is left.
    pub fn poll_flush(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.count_gathered();
        while !self.segments.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.fill(&mut slices);
            let written = ready!(io.poll_write_vectored(cx, &slices[..filled]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.reset();
        Poll::Ready(Ok(()))
    }

    /// Makes what was gathered since the last segment one.
    fn count_gathered(&mut self) {
        let fresh = self.gathered.len() - self.counted;
        if fresh > 0 {
            self.counted += fresh;
            self.waiting += fresh;
            self.segments.push_back(Segment::Gathered(fresh));
        }
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut gathered = self.written;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(match segment {
                Segment::Gathered(length) => {
                    gathered += length;
                    &self.gathered[gathered - length..gathered]
                }
                Segment::Piece(piece) => piece,
            });
        }
        self.segments.len().min(SLICES)
    }

    fn advance(&mut self, mut written: usize) {
        self.total += written as u64;
        self.waiting -= written;
        while written > 0
            && let Some(segment) = self.segments.front_mut()
        {
            let length = match segment {
                Segment::Gathered(length) => *length,
                Segment::Piece(piece) => piece.len(),
            };
            let taken = written.min(length);
            match segment {
                Segment::Gathered(length) => {
                    *length -= taken;
                    self.written += taken;
                }
                Segment::Piece(piece) => piece.advance(taken),
            }
            if taken == length {
                self.segments.pop_front();
            }
            written -= taken;
        }
    }

    /// Everything is written: the buffer goes back to the worker, as a connection without traffic holds none.
    fn reset(&mut self) {
        buffer::give_write(std::mem::take(&mut self.gathered));
        self.written = 0;
        self.counted = 0;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        buffer::give_write(std::mem::take(&mut self.gathered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However large the pieces are and however the kernel takes them, the bytes stand in order.
        #[test]
        fn pieces_stand_in_order(sizes in prop::collection::vec(prop_oneof![0..20usize, 4000..9000usize], 0..40),
                                 takes in prop::collection::vec(1..30_000usize, 1..8)) {
            let mut out = Output::default();
            let (mut pushed, mut written) = (Vec::new(), Vec::new());
            let mut takes = takes.iter().cycle();
            let mut sizes = sizes.iter().enumerate();
            loop {
                let next = sizes.next();
                if let Some((number, size)) = next {
                    let piece = vec![number as u8; *size];
                    out.buffer().push(b'h');
                    pushed.push(b'h');
                    pushed.extend_from_slice(&piece);
                    out.push(piece.into());
                }
                prop_assert_eq!(out.position(), pushed.len() as u64);
                if next.is_none() || !out.has_room() {
                    out.count_gathered();
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let filled = out.fill(&mut slices);
                    let all: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                    let take = all.len().min(*takes.next().unwrap());
                    written.extend_from_slice(&all[..take]);
                    out.advance(take);
                    if out.is_empty() {
                        out.reset();
                        if next.is_none() {
                            break;
                        }
                    }
                }
            }
            prop_assert_eq!(written, pushed);
        }
    }
}
