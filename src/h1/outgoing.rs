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
/// What stands behind the last chunk's data, when there are no trailers.
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

/// Bytes on their way out: heads and small pieces copied together, then at most one large piece.
#[derive(Default)]
pub struct Outgoing {
    gathered: Vec<u8>,
    /// How much of `gathered` is written.
    written: usize,
    piece: Bytes,
    /// What stands behind a large piece.
    after: &'static [u8],
    /// Bytes written since the last [`Outgoing::start`].
    total: u64,
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

    /// Adds a piece of a body. There must be room.
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
        Ok(())
    }

    /// Adds the end of a body. With trailers there must be room.
    ///
    /// # Errors
    /// The body is shorter than announced.
    pub fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WrongLength> {
        match self.body {
            Announced::Length(1..) => return Err(WrongLength),
            Announced::Chunked if !self.piece.is_empty() => {
                debug_assert!(trailers.is_none());
                self.after = LAST_CHUNK_END;
            }
            Announced::Chunked => chunked::put_end(self.more(), trailers),
            Announced::Nothing | Announced::Length(0) | Announced::UntilClose => {}
        }
        self.body = Announced::Nothing;
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(out: &Outgoing) -> Vec<u8> {
        [&out.gathered[out.written..], &out.piece, out.after].concat()
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
                let waiting = written(out);
                let take = takes.next().unwrap().min(&waiting.len()).to_owned();
                wire.extend_from_slice(&waiting[..take]);
                out.advance(take);
                if out.is_empty() {
                    out.gathered.clear();
                    out.written = 0;
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
