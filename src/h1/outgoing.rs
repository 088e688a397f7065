//! What is to be written, gathered for one system call.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;

use super::chunked;
use super::framing::Framing;
use crate::buffer;
use crate::io::Io;
use crate::pipe::Pipe;

/// A piece up to this size is copied behind what is gathered already; a larger one is written from where it lies.
const COPIED: usize = 4 << 10;
/// Once so much waits, it is written before more is taken.
const ENOUGH: usize = 32 << 10;
/// So much of a body passes in one turn of the event loop, then the other connections have theirs.
const TURN: u64 = 256 << 10;
/// Segments that one system call takes.
const SLICES: usize = 8;

/// Bytes on their way out: heads and small pieces copied together, large pieces between them.
#[derive(Default)]
pub struct Outgoing {
    /// What was copied, of all segments.
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    /// How much of `gathered` stands in `segments`.
    counted: usize,
    segments: VecDeque<Segment>,
    /// What comes behind all segments.
    pipe: Pipe,
    /// Bytes in `segments`.
    waiting: usize,
    /// Bytes written since the last [`Outgoing::start`].
    total: u64,
    /// The `total` at which the turn ends.
    turn_ends: u64,
    body: Announced,
}

/// A run of bytes, in the order in which it is to be written.
enum Segment {
    /// So many bytes of what is gathered.
    Gathered(usize),
    Piece(Bytes),
}

/// What the head said of the body that follows.
#[derive(Clone, Copy, Debug, Default)]
enum Announced {
    #[default]
    Nothing,
    /// Bytes that are still owed.
    Length(u64),
    Chunked,
    UntilClose,
}

/// A body is longer or shorter than its head announced: sending it would shift whatever follows.
#[derive(Debug)]
pub struct WrongLength;

impl Outgoing {
    /// A place for a head, at the start of a message.
    pub fn start(&mut self) -> &mut Vec<u8> {
        self.total = 0;
        self.body = Announced::Nothing;
        self.more()
    }

    /// How the body behind the head is framed, as the head says.
    pub fn start_body(&mut self, framing: Framing) {
        self.body = match framing {
            Framing::None => Announced::Nothing,
            Framing::Length(length) => Announced::Length(length),
            Framing::Chunked => Announced::Chunked,
            Framing::UntilClose => Announced::UntilClose,
        };
    }

    /// A place for bytes behind what is there.
    pub fn more(&mut self) -> &mut Vec<u8> {
        if self.gathered.capacity() == 0 {
            self.gathered = buffer::take_write();
        }
        &mut self.gathered
    }

    /// Bytes written since the last start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Begins a turn, see [`Outgoing::poll_turn`].
    pub fn begin_turn(&mut self) {
        self.turn_ends = self.total + TURN;
    }

    /// Ready while this turn may go on; else wakes the task behind all others that have something to do. A body
    /// whose bytes are always there, and taken at once, would keep them waiting for as long as it lasts.
    pub fn poll_turn(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.total < self.turn_ends {
            return Poll::Ready(());
        }
        // Unlike a wake of its own it lets the event loop look at its sockets first.
        pin!(tokio::task::yield_now()).poll(cx)
    }

    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.counted == self.gathered.len() && self.pipe.held() == 0
    }

    /// Whether another piece may be added before the next flush.
    pub fn has_room(&self) -> bool {
        let fresh = self.gathered.len() - self.counted;
        // What is written of the gathered bytes goes only when all of it is: a slow reader must not make it grow.
        self.waiting + fresh < ENOUGH
            && self.segments.len() < SLICES
            && self.gathered.len() < ENOUGH
            && self.pipe.held() == 0
    }

    /// The empty pipe to have the next part of the body moved into, where that can go out to `io`. What is moved
    /// is to be told to [`Outgoing::moved`].
    pub fn pipe_to(&mut self, io: &Io) -> Option<&mut Pipe> {
        let fits = matches!(self.body, Announced::Length(_)) && io.can_splice();
        fits.then_some(&mut self.pipe)
    }

    /// Counts a part of a body that lies in the pipe.
    ///
    /// # Errors
    /// The body is longer than announced; the connection must be dropped.
    pub fn moved(&mut self, count: u64) -> Result<(), WrongLength> {
        if let Announced::Length(left) = &mut self.body {
            *left = left.checked_sub(count).ok_or(WrongLength)?;
        }
        Ok(())
    }

    /// Adds a piece of a body.
    ///
    /// # Errors
    /// The body is longer than announced; nothing was added.
    pub fn push(&mut self, data: Bytes) -> Result<(), WrongLength> {
        if data.is_empty() {
            return Ok(());
        }
        let chunked = match &mut self.body {
            Announced::Nothing => return Err(WrongLength),
            Announced::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                false
            }
            Announced::Chunked => true,
            Announced::UntilClose => false,
        };
        if chunked {
            chunked::put_size(self.more(), data.len());
        }
        if data.len() <= COPIED {
            self.more().extend_from_slice(&data);
        } else {
            self.count_gathered();
            self.waiting += data.len();
            self.segments.push_back(Segment::Piece(data));
        }
        if chunked {
            self.more().extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Adds the end of a body.
    ///
    /// # Errors
    /// The body is shorter than announced.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WrongLength> {
        match self.body {
            Announced::Length(1..) => return Err(WrongLength),
            Announced::Chunked => chunked::put_end(self.more(), trailers),
            Announced::Nothing | Announced::Length(0) | Announced::UntilClose => {}
        }
        self.body = Announced::Nothing;
        Ok(())
    }

    /// Writes until nothing is left.
    pub fn poll_flush(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.segments.is_empty() && self.counted < self.gathered.len() {
            // Nearly always it is one run of bytes, and leaves at once.
            let fresh = &self.gathered[self.counted..];
            let length = fresh.len();
            let written = ready!(io.poll_write_vectored(cx, &[IoSlice::new(fresh)]))?;
            if written == length {
                self.total += length as u64;
                self.reset();
                return Poll::Ready(Ok(()));
            }
            self.count_gathered();
            self.advance(written);
        }
        self.count_gathered();
        while !self.segments.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.fill(&mut slices);
            let slices = &slices[..filled];
            let written = ready!(match self.pipe.held() {
                0 => io.poll_write_vectored(cx, slices),
                _ => io.poll_write_more(cx, slices),
            })?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.reset();
        while self.pipe.held() > 0 {
            let written = ready!(io.poll_drain(cx, &mut self.pipe))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.total += written;
        }
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
        let count = self.segments.len().min(SLICES);
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(match segment {
                Segment::Gathered(length) => {
                    gathered += length;
                    &self.gathered[gathered - length..gathered]
                }
                Segment::Piece(piece) => piece,
            });
        }
        count
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

    /// Everything is written: the buffer goes back to the worker.
    fn reset(&mut self) {
        buffer::give_write(std::mem::take(&mut self.gathered));
        self.written = 0;
        self.counted = 0;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        buffer::give_write(std::mem::take(&mut self.gathered));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What one system call would write.
    fn waiting(out: &mut Outgoing) -> Vec<u8> {
        out.count_gathered();
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = out.fill(&mut slices);
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    proptest! {
        /// However large the pieces are and however the kernel takes them, the bytes stand in order.
        #[test]
        fn pieces_stand_in_order(sizes in prop::collection::vec(prop_oneof![0..20usize, 4000..9000usize], 0..6),
                                 takes in prop::collection::vec(1..3000usize, 1..8),
                                 chunked in any::<bool>()) {
            let data: Vec<Bytes> = sizes.iter().enumerate()
                .map(|(n, size)| Bytes::from(vec![b'a' + n as u8; *size])).collect();
            let length = sizes.iter().sum::<usize>() as u64;
            let mut out = Outgoing::default();
            out.start().extend_from_slice(b"head");
            out.start_body(if chunked { Framing::Chunked } else { Framing::Length(length) });
            let mut wire = Vec::new();
            let mut takes = takes.iter().cycle();
            let mut drain = |out: &mut Outgoing, all: bool| while !out.is_empty() && (all || !out.has_room()) {
                let waiting = waiting(out);
                let take = takes.next().unwrap().min(&waiting.len()).to_owned();
                wire.extend_from_slice(&waiting[..take]);
                out.advance(take);
                if out.is_empty() {
                    out.reset();
                }
            };
            for (n, piece) in data.iter().enumerate() {
                drain(&mut out, false);
                out.push(piece.clone()).unwrap();
                if n + 1 == data.len() {
                    out.end(None).unwrap();
                }
            }
            if data.is_empty() {
                out.end(None).unwrap();
            }
            drain(&mut out, true);
            prop_assert_eq!(out.total(), wire.len() as u64);
            let mut body = bytes::BytesMut::from(wire.strip_prefix(b"head").unwrap());
            if chunked {
                let mut decoder = chunked::Decoder::default();
                let mut read = Vec::new();
                while let chunked::Decoded::Data(piece) = decoder.decode(&mut body).unwrap() {
                    read.extend_from_slice(&piece);
                }
                prop_assert!(decoder.is_done() && body.is_empty());
                prop_assert_eq!(read, data.concat());
            } else {
                prop_assert_eq!(body, data.concat());
            }
        }
    }

    /// A reader that takes less than there is, for as long as the body lasts.
    #[test]
    fn what_is_written_is_not_kept_for_ever() {
        let mut out = Outgoing::default();
        out.start_body(Framing::UntilClose);
        for _ in 0..1000 {
            while out.has_room() {
                out.push(Bytes::from_static(&[b'x'; 1000])).unwrap();
            }
            out.count_gathered();
            let some = out.waiting.div_ceil(2);
            out.advance(some);
            assert!(out.gathered.len() < 2 * ENOUGH, "{}", out.gathered.len());
            if out.is_empty() {
                out.reset();
            }
        }
        assert!(out.total() > 1 << 20);
    }

    #[tokio::test]
    async fn a_turn_ends_after_so_many_bytes_and_another_begins() {
        use std::future::poll_fn;

        let mut out = Outgoing::default();
        out.start_body(Framing::UntilClose);
        for _ in 0..2 {
            out.begin_turn();
            assert!(
                poll_fn(|cx| Poll::Ready(out.poll_turn(cx)))
                    .await
                    .is_ready()
            );
            out.push(Bytes::from(vec![b'x'; TURN as usize])).unwrap();
            out.advance(TURN as usize);
            out.reset();
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                if polls == 2 {
                    out.begin_turn();
                }
                out.poll_turn(cx)
            })
            .await;
            assert_eq!(
                polls, 2,
                "it was woken once, after the event loop had its turn"
            );
        }
    }

    #[test]
    fn a_body_must_be_as_long_as_announced() {
        let mut out = Outgoing::default();
        out.start();
        out.start_body(Framing::Length(3));
        assert!(out.push(Bytes::from_static(b"abcd")).is_err());
        assert!(out.push(Bytes::from_static(b"ab")).is_ok());
        assert!(out.end(None).is_err());
        assert!(out.push(Bytes::from_static(b"c")).is_ok());
        assert!(out.end(None).is_ok());
        assert!(out.push(Bytes::from_static(b"d")).is_err());
    }
}
