//! The one body type of requests and responses, and the guards that live until its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::boxed::boxed;
use crate::http::error::Error;
use crate::http::grpc;
use crate::net::pipe::Pipe;

mod guard;
mod kept;
#[cfg(test)]
mod tests;

pub use guard::{End, Guard};
pub use kept::Kept;

/// A message body: nothing, one piece, or a stream of pieces and trailers.
///
/// It streams with back-pressure: a piece is read from the peer when somebody polls for it. Guards added by
/// [`Body::with_guard`] are told how the body ended, at its END, which for a response is the end of the
/// exchange.
pub struct Body {
    content: Content,
    guard: Option<Box<dyn Guard>>,
    /// Bytes handed out so far.
    passed: u64,
}

enum Content {
    Empty,
    Full(Bytes),
    Stream(Pin<Box<dyn Stream>>),
    Splicing(Pin<Box<dyn Splice>>),
}

/// What a protocol supplies as a body that is still arriving.
pub trait Stream: http_body::Body<Data = Bytes, Error = Error> + Send + Sync {}

impl<T: http_body::Body<Data = Bytes, Error = Error> + Send + Sync> Stream for T {}

/// A stream whose bytes need not pass through this process, as nobody looks at them.
pub trait Splice: Stream {
    /// See [`Body::can_splice`].
    fn can_splice(self: Pin<&mut Self>) -> bool;

    /// See [`Body::poll_splice`].
    fn poll_splice(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>>;
}

impl Body {
    pub const fn empty() -> Self {
        Body {
            content: Content::Empty,
            guard: None,
            passed: 0,
        }
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Body {
            content: if bytes.is_empty() {
                Content::Empty
            } else {
                Content::Full(bytes)
            },
            guard: None,
            passed: 0,
        }
    }

    pub fn stream(stream: impl Stream + 'static) -> Self {
        Body {
            content: Content::Stream(Box::pin(stream)),
            guard: None,
            passed: 0,
        }
    }

    /// A stream of which both can be had, pieces and [`Body::poll_splice`].
    pub fn splicing(stream: impl Splice + 'static) -> Self {
        Body {
            content: Content::Splicing(Box::pin(stream)),
            guard: None,
            passed: 0,
        }
    }

    /// Tells `guard` when this body ends. A later guard is told first.
    #[must_use]
    #[inline]
    pub fn with_guard(mut self, guard: impl Guard + 'static) -> Self {
        self.guard = Some(match self.guard.take() {
            None => boxed(|| guard),
            Some(inner) => boxed(|| (guard, inner)),
        });
        self
    }

    /// The same with a guard that has its box already. It is made of the one before it, which it has to tell itself.
    #[inline]
    pub fn guard_by(&mut self, put: impl FnOnce(Option<Box<dyn Guard>>) -> Box<dyn Guard>) {
        self.guard = Some(put(self.guard.take()));
    }

    /// Whether it is certain that no piece will come.
    pub fn is_empty(&self) -> bool {
        matches!(self.content, Content::Empty)
    }

    /// Whether its pieces come from a source that may have to be waited for.
    pub fn is_stream(&self) -> bool {
        matches!(self.content, Content::Stream(_) | Content::Splicing(_))
    }

    /// The whole content, when it is already here: nothing is left to wait for. Ends the body.
    pub fn take_full(&mut self) -> Option<Bytes> {
        match &mut self.content {
            Content::Stream(_) | Content::Splicing(_) => None,
            content => {
                let bytes = match std::mem::replace(content, Content::Empty) {
                    Content::Full(bytes) => bytes,
                    _ => Bytes::new(),
                };
                self.passed += bytes.len() as u64;
                self.end(End::Complete);
                Some(bytes)
            }
        }
    }

    /// Ends a body that is not to be sent, as the answer to HEAD: nobody gave it up.
    pub fn withhold(&mut self) {
        self.content = Content::Empty;
        self.end(End::Complete);
    }

    /// Ends a body that its reader gives up for a reason of its own.
    pub fn failed(mut self, error: &Error) {
        self.content = Content::Empty;
        self.end(End::Failed(error));
    }

    /// Whether what comes next can be had by [`Body::poll_splice`], and is better had so than as a piece.
    pub fn can_splice(&mut self) -> bool {
        match &mut self.content {
            Content::Splicing(stream) => stream.as_mut().can_splice(),
            _ => false,
        }
    }

    /// Has the next bytes of the content moved from the socket on which they arrive into the empty `pipe`, and
    /// says how many: as good as a piece of [`http_body::Body::poll_frame`]. `None`: there are some, but no pipe for
    /// them; take a piece instead.
    pub fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>> {
        let Content::Splicing(stream) = &mut self.content else {
            return Poll::Ready(Ok(None));
        };
        let polled = ready!(stream.as_mut().poll_splice(cx, pipe));
        match &polled {
            Ok(None) => {}
            Ok(Some(moved)) => {
                let ended = stream.is_end_stream();
                let first = self.passed == 0;
                self.passed += moved;
                if ended {
                    self.end(End::Complete);
                } else if first && let Some(guard) = &mut self.guard {
                    guard.begun();
                }
            }
            Err(error) => self.end(End::Failed(error)),
        }
        Poll::Ready(polled)
    }

    fn end(&mut self, end: End<'_>) {
        if let Some(mut guard) = self.guard.take() {
            guard.end(end, self.passed);
        }
    }
}

impl Content {
    fn as_stream(&mut self) -> Option<Pin<&mut dyn Stream>> {
        match self {
            Content::Empty | Content::Full(_) => None,
            Content::Stream(stream) => Some(stream.as_mut()),
            Content::Splicing(stream) => Some(stream.as_mut()),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(mut stream) = self.content.as_stream() else {
            let full = self.take_full().filter(|bytes| !bytes.is_empty());
            return Poll::Ready(full.map(|bytes| Ok(Frame::data(bytes))));
        };
        let polled = ready!(stream.as_mut().poll_frame(cx));
        match &polled {
            None => {
                self.content = Content::Empty;
                self.end(End::Complete);
            }
            Some(Err(error)) => self.end(End::Failed(error)),
            Some(Ok(frame)) => {
                // The consumer may stop here, so the guard must not wait for another poll.
                let ended = stream.is_end_stream();
                match frame.trailers_ref() {
                    None => {
                        let first = self.passed == 0 && !ended;
                        self.passed += frame.data_ref().map_or(0, |data| data.len() as u64);
                        if first && let Some(guard) = &mut self.guard {
                            guard.begun();
                        }
                    }
                    Some(trailers) => {
                        if let Some(guard) = &mut self.guard {
                            guard.trailers(grpc::status_behind(trailers));
                        }
                    }
                }
                if ended {
                    self.end(End::Complete);
                }
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Full(_) => false,
            Content::Stream(stream) => stream.is_end_stream(),
            Content::Splicing(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(stream) => stream.size_hint(),
            Content::Splicing(stream) => stream.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let complete = http_body::Body::is_end_stream(self);
        self.end(if complete {
            End::Complete
        } else {
            End::Dropped
        });
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = http_body::Body::size_hint(self);
        write!(f, "Body({}..", size.lower())?;
        match size.upper() {
            Some(upper) => write!(f, "={upper})"),
            None => write!(f, ")"),
        }
    }
}
