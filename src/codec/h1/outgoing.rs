//! Messages on their way out.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;

use super::chunked;
use super::framing::Framing;
use crate::net::io::Io;
use crate::net::pipe::Pipe;
use crate::net::write_queue::{SLICES, WriteQueue};

/// Once so much waits, it is written before more is taken.
const ENOUGH: usize = 32 << 10;
/// So much of a body passes in one turn of the event loop, then the other connections have theirs.
const TURN: u64 = 256 << 10;

#[derive(Default)]
pub struct Outgoing {
    queue: WriteQueue,
    /// What comes behind the queue.
    pipe: Pipe,
    /// Bytes written since the last [`Outgoing::start`].
    total: u64,
    /// The `total` at which the turn ends.
    turn_ends: u64,
    body: Announced,
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
        self.queue.buffer()
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
        self.queue.is_empty() && self.pipe.held() == 0
    }

    /// Whether another piece may be added before the next flush.
    pub fn has_room(&self) -> bool {
        self.queue.len() < ENOUGH
            && self.queue.segments() < SLICES
            && self.queue.buffered() < ENOUGH
            && self.pipe.held() == 0
    }

    /// The empty pipe to have the next part of the body moved into, where that can go out to `io`. What is moved
    /// is to be told to [`Outgoing::moved`].
    pub(super) fn pipe_to(&mut self, io: &Io) -> Option<&mut Pipe> {
        let announced = matches!(self.body, Announced::Length(_));
        let fits = announced && io.can_splice() && self.pipe.held() == 0;
        fits.then_some(&mut self.pipe)
    }

    /// Counts a part of a body that lies in the pipe.
    ///
    /// # Errors
    /// The body is longer than announced; the connection must be dropped.
    pub(super) fn moved(&mut self, count: u64) -> Result<(), WrongLength> {
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
        self.queue.push(data);
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
        self.poll_write_all(io, cx, false)
    }

    /// Writes until nothing is left, where the end of the stream is to follow at once: the last bytes wait for it, and
    /// one segment takes both.
    pub fn poll_flush_last(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_all(io, cx, true)
    }

    fn poll_write_all(
        &mut self,
        io: &Io,
        cx: &mut Context<'_>,
        last: bool,
    ) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let more = last || self.pipe.held() > 0;
            self.total += ready!(self.queue.poll_write(io, cx, more))? as u64;
        }
        while self.pipe.held() > 0 {
            let written = ready!(io.poll_drain(cx, &mut self.pipe))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.total += written;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes up to `most` bytes.
    fn take(out: &mut Outgoing, most: usize) -> Vec<u8> {
        let taken = out.queue.take(most);
        out.total += taken.len() as u64;
        taken
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
                wire.extend(take(out, *takes.next().unwrap()));
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
            let some = out.queue.len().div_ceil(2);
            take(&mut out, some);
            assert!(out.queue.buffered() < 2 * ENOUGH);
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
            take(&mut out, TURN as usize);
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
