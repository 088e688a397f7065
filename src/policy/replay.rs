//! A request that may be sent again: what it takes beside the request itself.
//!
//! A request that fails comes back, so as long as nothing fails only its body costs anything. That streams on to the
//! upstream as it arrives; its pieces are only shared, not copied. As long as all that was read is kept, another
//! attempt can begin from the start and then go on reading where the first one stopped.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::http::body::Body;
use crate::http::error::{Error, UPSTREAM_RESET};
use crate::http::exchange::Back;
use crate::http::message::{Request, Tried};

/// What it takes to send a request again.
pub struct Replay {
    /// A copy of the request without its body, where an attempt may be cut and nothing comes back then.
    head: Option<Box<Request>>,
    body: Kept,
    /// Where it has been. All attempts share it: each is to know where the others have been.
    tried: Tried,
}

enum Kept {
    /// There was none.
    Nothing,
    /// All of it was here from the start.
    Whole(Bytes),
    Stream(Arc<Stream>),
    /// It is too large, and nobody is in its way. When none of it was read, it comes back with the request.
    NotAtAll,
}

impl Replay {
    /// Keeps, as it is read, up to `max_body` bytes of the body of `request`.
    pub fn keep(request: &mut Request, max_body: u64) -> Self {
        let body = if request.body.is_empty() {
            Kept::Nothing
        } else if request.body.size_hint().lower() > max_body {
            Kept::NotAtAll
        } else {
            Self::keep_body(request, max_body)
        };
        Replay {
            head: None,
            body,
            tried: Tried::default(),
        }
    }

    /// The same for attempts that may be cut.
    pub fn copy(request: &mut Request, max_body: u64) -> Self {
        Replay {
            head: Some(request.without_body()),
            body: Self::keep_body(request, max_body),
            tried: Tried::default(),
        }
    }

    /// Where an attempt comes back to when it fails.
    #[inline]
    pub fn back(&self) -> Back<'_> {
        Back::new(&self.tried)
    }

    fn keep_body(request: &mut Request, max_body: u64) -> Kept {
        let large = request.body.size_hint().lower() > max_body;
        match request.body.take_full() {
            Some(bytes) if !large => {
                request.body = Body::full(bytes.clone());
                Kept::Whole(bytes)
            }
            here => {
                let source = std::mem::replace(&mut request.body, Body::empty());
                let source = here.map_or(source, Body::full);
                // Not a byte of what is known to be too large.
                let limit = if large { 0 } else { max_body };
                let stream = Arc::new(Stream(Mutex::new(State {
                    source,
                    kept: Vec::new(),
                    bytes: 0,
                    limit,
                    lost: false,
                    attempt: 0,
                })));
                request.body = Body::stream(Attempt::new(&stream, 0));
                Kept::Stream(stream)
            }
        }
    }

    /// The request again, from its start, made from what came `back`. An earlier attempt reads nothing of the body any
    /// more. None when something was read that is not kept, or nothing came back.
    pub fn again(&self, back: Option<Box<Request>>) -> Option<Box<Request>> {
        let mut request = back.or_else(|| Some(self.head.as_ref()?.without_body()))?;
        request.body = match &self.body {
            Kept::Nothing => Body::empty(),
            Kept::Whole(bytes) => Body::full(bytes.clone()),
            Kept::NotAtAll if request.body.is_empty() => return None,
            Kept::NotAtAll => return Some(request),
            Kept::Stream(stream) => {
                let mut state = stream.state();
                if state.lost {
                    return None;
                }
                state.attempt += 1;
                Body::stream(Attempt::new(stream, state.attempt))
            }
        };
        Some(request)
    }

    /// Whether the request could be sent again now, with what came `back`.
    pub fn is_possible(&self, back: Option<&Request>) -> bool {
        (back.is_some() || self.head.is_some())
            && match &self.body {
                Kept::Nothing | Kept::Whole(_) => true,
                Kept::Stream(stream) => !stream.state().lost,
                Kept::NotAtAll => back.is_some_and(|back| !back.body.is_empty()),
            }
    }

    /// Whether the whole body was read.
    pub fn is_complete(&self) -> bool {
        match &self.body {
            Kept::Nothing | Kept::Whole(_) => true,
            Kept::Stream(stream) => stream.state().source.is_end_stream(),
            Kept::NotAtAll => false,
        }
    }
}

/// The body that all attempts share.
struct Stream(Mutex<State>);

struct State {
    source: Body,
    kept: Vec<Piece>,
    bytes: u64,
    limit: u64,
    /// Something was read that is not kept.
    lost: bool,
    /// The attempt that reads on.
    attempt: usize,
}

enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Stream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.lost {
            return;
        }
        let size = frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.bytes + size > self.limit {
            self.lost = true;
            self.kept = Vec::new();
            return;
        }
        self.bytes += size;
        if let Some(data) = frame.data_ref() {
            self.kept.push(Piece::Data(data.clone()));
        } else if let Some(trailers) = frame.trailers_ref() {
            self.kept.push(Piece::Trailers(trailers.clone()));
        }
    }
}

/// The body of one attempt: what is kept, then what else comes.
struct Attempt {
    stream: Arc<Stream>,
    number: usize,
    place: usize,
    /// Something was read. Until then it is no empty body, even if nothing but its end comes.
    begun: bool,
}

impl Attempt {
    fn new(stream: &Arc<Stream>, number: usize) -> Self {
        Attempt {
            stream: stream.clone(),
            number,
            place: 0,
            begun: false,
        }
    }
}

impl http_body::Body for Attempt {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.begun = true;
        let stream = self.stream.clone();
        let mut state = stream.state();
        if let Some(piece) = state.kept.get(self.place) {
            self.place += 1;
            return Poll::Ready(Some(Ok(match piece {
                Piece::Data(data) => Frame::data(data.clone()),
                Piece::Trailers(trailers) => Frame::trailers(trailers.clone()),
            })));
        }
        if state.source.is_end_stream() {
            return Poll::Ready(None);
        }
        if self.number != state.attempt {
            let detail = "another attempt reads the request's body";
            return Poll::Ready(Some(Err(Error::new(UPSTREAM_RESET, detail))));
        }
        let polled = ready!(Pin::new(&mut state.source).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => state.keep(frame),
            Some(Err(_)) => state.lost = true,
            None => {}
        }
        self.place = state.kept.len();
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.stream.state();
        self.begun && self.place >= state.kept.len() && state.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let state = self.stream.state();
        let rest = state.kept.get(self.place..).unwrap_or_default();
        let kept: u64 = rest.iter().map(Piece::size).sum();
        let source = state.source.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(source.lower() + kept);
        if let Some(upper) = source.upper() {
            hint.set_upper(upper + kept);
        }
        hint
    }
}

impl Piece {
    fn size(&self) -> u64 {
        match self {
            Piece::Data(data) => data.len() as u64,
            Piece::Trailers(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;
    use http_body_util::{BodyExt, StreamBody};

    fn streaming(pieces: &[&'static str]) -> Box<Request> {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        let mut request = request("PUT", "/");
        request.body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
        request
    }

    async fn text(body: Body) -> String {
        let bytes = body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// What comes back of a request: all but its body.
    fn back(request: &Request) -> Option<Box<Request>> {
        Some(request.without_body())
    }

    #[tokio::test]
    async fn a_second_attempt_begins_from_the_start_and_reads_on() {
        let mut first = streaming(&["ab", "cd", "ef"]);
        let replay = Replay::copy(&mut first, 100);
        first.body.frame().await.unwrap().unwrap();
        let second = replay.again(None).unwrap();
        assert!(
            first.body.frame().await.unwrap().is_err(),
            "the first one ends"
        );
        assert_eq!(text(second.body).await, "abcdef");
        assert!(replay.is_complete());
        assert_eq!(text(replay.again(None).unwrap().body).await, "abcdef");
    }

    #[tokio::test]
    async fn nothing_is_sent_again_that_did_not_come_back() {
        let mut first = streaming(&["ab"]);
        let replay = Replay::keep(&mut first, 100);
        assert!(!replay.is_possible(None) && replay.again(None).is_none());
        let back = back(&first);
        assert!(replay.is_possible(back.as_deref()));
        drop(first);
        assert_eq!(text(replay.again(back).unwrap().body).await, "ab");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_streams_on_and_cannot_be_sent_again() {
        let mut first = streaming(&["ab", "cd", "ef"]);
        let replay = Replay::keep(&mut first, 4);
        let body = std::mem::replace(&mut first.body, Body::empty());
        assert_eq!(text(body).await, "abcdef");
        assert!(!replay.is_possible(Some(&first)));
        assert!(replay.again(Some(first)).is_none());
    }

    #[tokio::test]
    async fn a_body_that_nobody_read_can_be_sent_whatever_the_limit() {
        let mut first = streaming(&["ab", "cd"]);
        let replay = Replay::copy(&mut first, 0);
        drop(first);
        assert_eq!(text(replay.again(None).unwrap().body).await, "abcd");
        assert!(replay.again(None).is_none());
    }

    #[tokio::test]
    async fn what_is_here_already_is_kept_whole() {
        let mut first = request("PUT", "/");
        first.body = Body::full("abc");
        let replay = Replay::keep(&mut first, 3);
        let back = back(&first);
        assert_eq!(text(first.body).await, "abc");
        assert_eq!(text(replay.again(back).unwrap().body).await, "abc");
    }

    #[tokio::test]
    async fn what_is_too_large_is_sent_again_if_it_comes_back() {
        let mut large = request("PUT", "/");
        large.body = Body::full("abcd");
        let replay = Replay::keep(&mut large, 3);
        assert!(replay.is_possible(Some(&large)));
        let mut again = replay.again(Some(large)).unwrap();
        assert_eq!(again.body.take_full().unwrap(), "abcd");
        assert!(!replay.is_possible(Some(&again)) && replay.again(Some(again)).is_none());
    }

    #[tokio::test]
    async fn nothing_comes_again_as_nothing() {
        let mut empty = request("GET", "/");
        let replay = Replay::keep(&mut empty, 0);
        assert!(replay.is_complete());
        assert!(replay.again(Some(empty)).unwrap().body.is_empty());
    }

    #[tokio::test]
    async fn trailers_come_again() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "a".parse().unwrap())]);
        let frames = [
            Ok(Frame::data(Bytes::from("ab"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let mut first = request("PUT", "/");
        first.body = Body::stream(StreamBody::new(futures_util::stream::iter(frames)));
        let replay = Replay::copy(&mut first, 9);
        first.body.collect().await.unwrap();
        let again = replay.again(None).unwrap().body.collect().await.unwrap();
        assert_eq!(again.trailers(), Some(&trailers));
        assert_eq!(again.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn the_length_of_each_attempt_is_that_of_the_whole() {
        let mut first = request("PUT", "/");
        first.body =
            Body::stream(http_body_util::Full::new(Bytes::from("abcd")).map_err(|e| match e {}));
        let replay = Replay::copy(&mut first, 100);
        assert_eq!(first.body.size_hint().exact(), Some(4));
        first.body.frame().await.unwrap().unwrap();
        let again = replay.again(None).unwrap();
        assert_eq!(again.body.size_hint().exact(), Some(4));
    }
}
