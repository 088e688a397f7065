//! The one body type of requests and responses, and the guards that live until its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::boxed::boxed;
use crate::http::error::Error;
use crate::http::grpc;
use crate::net::pipe::Pipe;

mod kept;

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

/// Something that must last as long as a body, and learns how it ended.
pub trait Guard: Send + Sync {
    /// `passed` counts the bytes of content that were handed on.
    fn end(&mut self, end: End<'_>, passed: u64);

    /// The trailers are handed on, with this status of a call of gRPC among them; the end follows.
    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        let _of_no_interest = grpc_status;
    }

    /// The first piece is handed on, and more may follow.
    fn begun(&mut self) {}
}

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// Its last piece was handed on.
    Complete,
    /// Its source failed.
    Failed(&'a Error),
    /// Whoever read it stopped before its end.
    Dropped,
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
            Some(inner) => boxed(|| Both(guard, inner)),
        });
        self
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

struct Both<G>(G, Box<dyn Guard>);

impl<G: Guard> Guard for Both<G> {
    fn end(&mut self, end: End<'_>, passed: u64) {
        self.0.end(end, passed);
        self.1.end(end, passed);
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        self.0.trailers(grpc_status);
        self.1.trailers(grpc_status);
    }

    fn begun(&mut self) {
        self.0.begun();
        self.1.begun();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<String>>>);

    impl Guard for Ends {
        fn end(&mut self, end: End<'_>, passed: u64) {
            self.0.lock().unwrap().push(format!("{end:?} {passed}"));
        }
    }

    fn pieces(pieces: Vec<Result<&'static str, Error>>) -> Body {
        Body::stream(StreamBody::new(futures_util::stream::iter(
            pieces
                .into_iter()
                .map(|p| p.map(|p| Frame::data(Bytes::from(p)))),
        )))
    }

    #[tokio::test]
    async fn guards_learn_of_the_end_not_of_the_first_piece() {
        let ends = Ends::default();
        let mut body = pieces(vec![Ok("a"), Ok("b")]).with_guard(ends.clone());
        body.frame().await.unwrap().unwrap();
        assert!(ends.0.lock().unwrap().is_empty());
        while body.frame().await.is_some() {}
        drop(body);
        assert_eq!(*ends.0.lock().unwrap(), ["Complete 2"]);
    }

    #[tokio::test]
    async fn every_guard_learns_the_status_in_the_trailers() {
        type Statuses = Arc<Mutex<Vec<Option<Vec<u8>>>>>;
        struct Sees(Statuses);
        impl Guard for Sees {
            fn end(&mut self, _: End<'_>, _: u64) {}

            fn trailers(&mut self, grpc_status: Option<&[u8]>) {
                let status = grpc_status.map(<[u8]>::to_vec);
                self.0.lock().unwrap().push(status);
            }
        }
        let seen = Statuses::default();
        for name in [http::header::ETAG, grpc::STATUS] {
            let trailers = HeaderMap::from_iter([(name, "7".parse().unwrap())]);
            let frame = Ok(Frame::trailers(trailers));
            let body = Body::stream(StreamBody::new(futures_util::stream::iter([frame])));
            let body = body.with_guard(Sees(seen.clone()));
            let body = body.with_guard(Sees(seen.clone()));
            body.collect().await.unwrap();
        }
        let seven = Some(b"7".to_vec());
        assert_eq!(*seen.lock().unwrap(), [None, None, seven.clone(), seven]);
    }

    #[tokio::test]
    async fn every_guard_is_told_once() {
        let ends = Ends::default();
        drop(
            pieces(vec![Ok("a")])
                .with_guard(ends.clone())
                .with_guard(ends.clone()),
        );
        assert_eq!(*ends.0.lock().unwrap(), ["Dropped 0", "Dropped 0"]);
    }

    #[tokio::test]
    async fn a_failure_is_told_as_one() {
        let ends = Ends::default();
        let failure = Error::new(crate::http::error::UPSTREAM_RESET, "cut");
        let mut body = pieces(vec![Err(failure)]).with_guard(ends.clone());
        assert!(body.frame().await.unwrap().is_err());
        drop(body);
        assert_eq!(ends.0.lock().unwrap().len(), 1);
        assert!(ends.0.lock().unwrap()[0].starts_with("Failed"));
    }

    #[test]
    fn a_body_that_is_withheld_was_not_given_up() {
        let ends = Ends::default();
        let mut body = Body::full("abc").with_guard(ends.clone());
        body.withhold();
        assert!(body.is_empty());
        drop(body);
        assert_eq!(*ends.0.lock().unwrap(), ["Complete 0"]);
    }

    #[test]
    fn one_piece_is_taken_whole() {
        let ends = Ends::default();
        let mut body = Body::full("abc").with_guard(ends.clone());
        assert_eq!(body.take_full().unwrap(), "abc");
        assert_eq!(*ends.0.lock().unwrap(), ["Complete 3"]);
        assert_eq!(Body::empty().take_full().unwrap(), "");
        assert!(pieces(vec![]).take_full().is_none());
    }
}
