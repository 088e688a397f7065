//! A socket's incoming side: its buffer, and the body that is read from it.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;

use super::chunked::{Decoded, Decoder};
use super::framing::{Ambiguous, Framing};
use crate::net::buffer;
use crate::net::io::Io;
use crate::net::pipe::Pipe;

/// Bytes that have arrived, and where the body under way ends.
#[derive(Debug)]
pub struct Reader {
    pub buffer: BytesMut,
    body: Progress,
    /// The buffer has grown for a body: kept for the next message, it would stay large.
    grown: bool,
    /// The last body was long, and the next is likely to be: what is read of it with its head cannot be moved.
    long: bool,
    /// A part of this body was moved, so the rest is too.
    moving: bool,
}

#[derive(Debug)]
enum Progress {
    Done,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

/// Room behind the end of a body: a read that does not fill its buffer tells that there is no more for now, and
/// spares the one that would.
const SLACK: usize = 64;

/// A body with so much left is moved rather than read: with less, what moving saves goes on its system calls.
const MOVED: u64 = 32 << 10;
/// A body of this length makes the next one's head be read by itself, to leave its body to be moved: as much as
/// [`HEAD`].
const LONG: u64 = 48 << 10;
const HEAD: usize = 2 << 10;

/// Why a body cannot be read to its end.
#[derive(Debug)]
pub enum Fault {
    /// The connection ended first.
    Cut,
    Io(io::Error),
    Malformed(Ambiguous),
}

impl Reader {
    pub fn new() -> Self {
        Reader {
            buffer: BytesMut::new(),
            body: Progress::Done,
            grown: false,
            long: false,
            moving: false,
        }
    }

    /// A reader behind bytes that have arrived already.
    pub fn with_buffer(buffer: BytesMut) -> Self {
        Reader {
            buffer,
            body: Progress::Done,
            grown: false,
            long: false,
            moving: false,
        }
    }

    /// The body whose head was just taken.
    pub fn start_body(&mut self, framing: Framing) {
        self.long = matches!(framing, Framing::Length(LONG..));
        self.moving = false;
        self.body = match framing {
            Framing::None => Progress::Done,
            Framing::Length(length) => Progress::Length(length),
            Framing::Chunked => Progress::Chunked(Decoder::default()),
            Framing::UntilClose => Progress::UntilClose,
        };
    }

    /// Whether the last piece of the body was handed out.
    pub fn body_done(&self) -> bool {
        match &self.body {
            Progress::Done => true,
            Progress::Chunked(decoder) => decoder.is_done(),
            Progress::Length(left) => *left == 0,
            Progress::UntilClose => false,
        }
    }

    /// Bytes of the body that are still to come, when that is known.
    pub fn body_left(&self) -> Option<u64> {
        match &self.body {
            Progress::Done => Some(0),
            Progress::Length(left) => Some(*left),
            Progress::Chunked(_) | Progress::UntilClose => None,
        }
    }

    /// The whole body, when all of it is in the buffer already.
    pub fn take_whole_body(&mut self) -> Option<Bytes> {
        match self.body {
            Progress::Length(left) if left <= self.buffer.len() as u64 => {
                self.body = Progress::Done;
                Some(self.buffer.split_to(left as usize).freeze())
            }
            _ => None,
        }
    }

    /// Reads once from the socket; 0 is its end.
    pub fn poll_fill(&mut self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() && self.buffer.capacity() < buffer::SMALL {
            // Wait without a buffer: this may be an idle connection, or the slow end of a stream.
            ready!(io.poll_read_ready(cx))?;
            self.make_room();
            match io.try_read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        } else if self.buffer.capacity() == self.buffer.len() {
            self.make_room();
        }
        match self.body {
            Progress::Done if self.long && self.buffer.is_empty() => {
                io.poll_read_most(cx, &mut self.buffer, HEAD)
            }
            _ => io.poll_read(cx, &mut self.buffer),
        }
    }

    /// The next piece of the body; `None` is its end.
    pub fn poll_body(
        &mut self,
        io: &Io,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match self.next_piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) if self.body_done() => return Poll::Ready(None),
                Ok(None) => {}
                Err(why) => return Poll::Ready(Some(Err(Fault::Malformed(why)))),
            }
            match ready!(self.poll_fill(io, cx)) {
                Ok(0) if matches!(self.body, Progress::UntilClose) => {
                    self.body = Progress::Done;
                    return Poll::Ready(None);
                }
                Ok(0) => return Poll::Ready(Some(Err(Fault::Cut))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(Fault::Io(error)))),
            }
        }
    }

    /// Whether the next part of the body is long, and nothing of it is in the buffer.
    pub fn can_splice(&self, io: &Io) -> bool {
        let Progress::Length(left) = self.body else {
            return false;
        };
        self.buffer.is_empty() && (left >= MOVED || self.moving && left > 0) && io.can_splice()
    }

    /// Moves the next part of the body into `pipe`; `None` when it must be taken by [`Reader::poll_body`] instead.
    pub fn poll_splice(
        &mut self,
        io: &Io,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Option<Result<u64, Fault>>> {
        let Progress::Length(left) = &mut self.body else {
            return Poll::Ready(None);
        };
        Poll::Ready(match ready!(io.poll_fill(cx, pipe, *left)) {
            Ok(0) => Some(Err(Fault::Cut)),
            Ok(moved) => {
                *left -= moved;
                self.moving = true;
                Some(Ok(moved))
            }
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => None,
            Err(error) => Some(Err(Fault::Io(error))),
        })
    }

    /// Gives the buffer back to the worker, when nothing is in it.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            if !std::mem::take(&mut self.grown) {
                buffer::give_read(buffer);
            }
        }
    }

    fn next_piece(&mut self) -> Result<Option<Frame<Bytes>>, Ambiguous> {
        match &mut self.body {
            Progress::Done => Ok(None),
            Progress::Length(left) => {
                let take = (*left).min(self.buffer.len() as u64);
                *left -= take;
                Ok((take > 0).then(|| Frame::data(self.buffer.split_to(take as usize).freeze())))
            }
            Progress::UntilClose => {
                let all = self.buffer.len();
                Ok((all > 0).then(|| Frame::data(self.buffer.split_to(all).freeze())))
            }
            Progress::Chunked(decoder) => match decoder.decode(&mut self.buffer)? {
                Decoded::Data(data) => {
                    decoder.try_end(&mut self.buffer);
                    Ok(Some(Frame::data(data)))
                }
                Decoded::Trailers(trailers) => Ok(Some(Frame::trailers(trailers))),
                Decoded::End | Decoded::Partial => Ok(None),
            },
        }
    }

    /// Room for the next read: a small buffer for a head, a large one where more of a body is known to come.
    fn make_room(&mut self) {
        let wanted = match &self.body {
            Progress::Done => buffer::SMALL,
            Progress::Length(left) => {
                (*left).clamp(buffer::SMALL as u64, buffer::LARGE as u64) as usize + SLACK
            }
            // The buffer was filled by one read, so the sender is fast.
            Progress::Chunked(_) | Progress::UntilClose if self.buffer.capacity() > 0 => {
                buffer::LARGE
            }
            Progress::Chunked(_) | Progress::UntilClose => buffer::SMALL,
        };
        if self.buffer.capacity() == 0 && wanted <= buffer::SMALL {
            self.buffer = buffer::take_read();
        } else {
            self.grown = true;
            self.buffer.reserve(wanted);
        }
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.release();
    }
}
