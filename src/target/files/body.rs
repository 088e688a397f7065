//! A file on its way to a caller, piece by piece.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::failure;
use super::found::Found;
use super::root::{PATIENCE, Root};
use crate::http::body::Splice;
use crate::http::error::Error;
use crate::http::semantics::range::Part;
use crate::net::pipe::Pipe;

/// Bytes that are read at once: what a caller that reads nothing keeps in memory.
const PIECE: u64 = 64 << 10;

/// Bytes of which no fewer are worth a pipe.
const LEAST_MOVED: u64 = 64 << 10;
/// Bytes that are moved at once.
const MOVED: u64 = 256 << 10;

/// What follows in the answer.
#[derive(Debug)]
pub(super) enum Piece {
    /// What stands between parts.
    Text(Bytes),
    /// Bytes of the file.
    Part(Part),
}

/// A reading that waits for the disk.
type Reading = Pin<Box<dyn Future<Output = Result<io::Result<Bytes>, Error>> + Send>>;

/// Pieces of a file. As many bytes come of it as were announced, or an error.
pub(super) struct FileBody {
    root: Arc<Root>,
    found: Arc<Found>,
    /// The answer's tag is a strong one: all of it must be of the one content.
    strong: bool,
    /// The kernel may send the pages of the file.
    zero_copy: bool,
    pieces: VecDeque<Piece>,
    left: u64,
    /// The lock is never waited for: it lets others own this who may look at it from two threads.
    reading: Mutex<Option<Reading>>,
    /// The last piece, whose memory can be used again once nobody else needs it.
    last: Bytes,
}

impl FileBody {
    pub fn new(root: &Arc<Root>, found: Found, strong: bool, pieces: VecDeque<Piece>) -> Self {
        let lengths = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.len() as u64,
            Piece::Part(part) => part.length,
        });
        FileBody {
            root: root.clone(),
            found: Arc::new(found),
            strong,
            zero_copy: false,
            left: lengths.sum(),
            pieces,
            reading: Mutex::new(None),
            last: Bytes::new(),
        }
    }

    /// Whether the kernel may send the pages of the file: a change in place would show in what has been sent already.
    #[must_use]
    pub fn zero_copy(self, zero_copy: bool) -> Self {
        FileBody { zero_copy, ..self }
    }

    fn reading(&mut self) -> &mut Option<Reading> {
        self.reading
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes of `part`.
    fn poll_read(&mut self, cx: &mut Context<'_>, part: Part) -> Poll<Result<Bytes, Error>> {
        if self.reading().is_none() {
            let buffer = self.buffer(part.length as usize);
            if let Some(bytes) = self.found.read_at_once(part.start, buffer) {
                let checked = self.found.is_unchanged();
                return Poll::Ready(self.judge(checked.map(|same| (bytes, same))));
            }
            *self.reading() = Some(self.wait_for(part));
        }
        let Some(reading) = self.reading() else {
            return Poll::Pending;
        };
        let read = ready!(reading.as_mut().poll(cx));
        *self.reading() = None;
        let bytes = read?.map_err(failure::of_looking)?;
        let checked = self.found.is_unchanged();
        Poll::Ready(self.judge(checked.map(|same| (bytes, same))))
    }

    fn wait_for(&self, part: Part) -> Reading {
        let (root, found) = (self.root.clone(), self.found.clone());
        Box::pin(async move { root.run(PATIENCE, move || found.read(part)).await })
    }

    fn judge(&self, read: io::Result<(Bytes, bool)>) -> Result<Bytes, Error> {
        match read {
            Ok((bytes, same)) if !bytes.is_empty() && (same || !self.strong) => Ok(bytes),
            Ok(_) => Err(failure::changed()),
            Err(error) => Err(failure::of_looking(error)),
        }
    }

    fn buffer(&mut self, length: usize) -> BytesMut {
        match std::mem::take(&mut self.last).try_into_mut() {
            Ok(mut buffer) if buffer.len() >= length => {
                buffer.truncate(length);
                buffer
            }
            _ => BytesMut::zeroed(length),
        }
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let (bytes, rest) = match this.pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::Text(text)) => (text, None),
            Some(Piece::Part(part)) => {
                let next = Part {
                    length: part.length.min(PIECE),
                    ..part
                };
                match this.poll_read(cx, next) {
                    Poll::Pending => {
                        this.pieces.push_front(Piece::Part(part));
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => {
                        this.pieces.clear();
                        return Poll::Ready(Some(Err(error)));
                    }
                    Poll::Ready(Ok(bytes)) => {
                        let read = bytes.len() as u64;
                        let rest = Part {
                            start: part.start + read,
                            length: part.length - read,
                        };
                        (bytes, Some(rest).filter(|rest| rest.length > 0))
                    }
                }
            }
        };
        if let Some(rest) = rest {
            this.last = bytes.clone();
            this.pieces.push_front(Piece::Part(rest));
        }
        this.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Splice for FileBody {
    fn can_splice(self: Pin<&mut Self>) -> bool {
        let this = self.get_mut();
        let is_long =
            |piece: &Piece| matches!(piece, Piece::Part(part) if part.length >= LEAST_MOVED);
        this.zero_copy && this.pieces.front().is_some_and(is_long) && this.reading().is_none()
    }

    fn poll_splice(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>> {
        let this = self.get_mut();
        let Some(Piece::Part(part)) = this.pieces.front_mut() else {
            return Poll::Ready(Ok(None));
        };
        let next = Part {
            length: part.length.min(MOVED),
            ..*part
        };
        if !this.found.is_in_memory(next) {
            return Poll::Ready(Ok(None));
        }
        let moved = pipe.fill_from_file(&this.found.file, next.start, next.length);
        let moved = match moved {
            Ok(moved) => moved,
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                return Poll::Ready(Ok(None));
            }
            Err(error) => return Poll::Ready(Err(failure::of_looking(error))),
        };
        part.start += moved;
        part.length -= moved;
        if part.length == 0 {
            this.pieces.pop_front();
        }
        this.left -= moved;
        let same = this.found.is_unchanged().map_err(failure::of_looking)?;
        if moved == 0 || this.strong && !same {
            return Poll::Ready(Err(failure::changed()));
        }
        Poll::Ready(Ok(Some(moved)))
    }
}
