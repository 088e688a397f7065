//! A request that may be sent again: its head, and of its body what was read so far.
//!
//! The body streams on to the upstream as it arrives; its pieces are only shared, not copied. As long as all that
//! was read is kept, another attempt can begin from the start and then go on reading where the first one stopped.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::error::{Error, UPSTREAM_RESET};
use crate::message::Request;

/// What it takes to send a request again.
pub struct Replay {
    /// The request without its body.
    head: Box<Request>,
    body: Kept,
}

enum Kept {
    /// All of it was here from the start.
    Whole(Bytes),
    Stream(Arc<Stream>),
}

impl Replay {
    /// Keeps `request` and, as it is read, up to `max_body` bytes of its body.
    pub fn keep(request: &mut Request, max_body: u64) -> Self {
        let head = request.without_body();
        let large = request.body.size_hint().lower() > max_body;
        let body = match request.body.take_full() {
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
        };
        Replay { head, body }
    }

    /// The request again, from its start. An earlier attempt reads nothing of the body any more. None when something
    /// was read that is not kept.
    pub fn again(&self) -> Option<Box<Request>> {
        let body = match &self.body {
            Kept::Whole(bytes) => Body::full(bytes.clone()),
            Kept::Stream(stream) => {
                let mut state = stream.state();
                if state.lost {
                    return None;
                }
                state.attempt += 1;
                Body::stream(Attempt::new(stream, state.attempt))
            }
        };
        let mut request = self.head.without_body();
        request.body = body;
        Some(request)
    }

    /// Whether the request could be sent again now.
    pub fn is_possible(&self) -> bool {
        match &self.body {
            Kept::Whole(_) => true,
            Kept::Stream(stream) => !stream.state().lost,
        }
    }

    /// Whether the whole body was read.
    pub fn is_complete(&self) -> bool {
        match &self.body {
            Kept::Whole(_) => true,
            Kept::Stream(stream) => stream.state().source.is_end_stream(),
        }
    }

    pub fn head(&self) -> &Request {
        &self.head
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
}

impl Attempt {
    fn new(stream: &Arc<Stream>, number: usize) -> Self {
        Attempt {
            stream: stream.clone(),
            number,
            place: 0,
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
        self.place >= state.kept.len() && state.source.is_end_stream()
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

    #[tokio::test]
    async fn a_second_attempt_begins_from_the_start_and_reads_on() {
        let mut first = streaming(&["ab", "cd", "ef"]);
        let replay = Replay::keep(&mut first, 100);
        first.body.frame().await.unwrap().unwrap();
        let second = replay.again().unwrap();
        assert!(
            first.body.frame().await.unwrap().is_err(),
            "the first one ends"
        );
        assert_eq!(text(second.body).await, "abcdef");
        assert!(replay.is_complete());
        assert_eq!(text(replay.again().unwrap().body).await, "abcdef");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_streams_on_and_cannot_be_sent_again() {
        let mut first = streaming(&["ab", "cd", "ef"]);
        let replay = Replay::keep(&mut first, 4);
        assert!(replay.is_possible());
        assert_eq!(
            text(std::mem::replace(&mut first.body, Body::empty())).await,
            "abcdef"
        );
        assert!(!replay.is_possible());
        assert!(replay.again().is_none());
    }

    #[tokio::test]
    async fn a_body_that_nobody_read_can_be_sent_whatever_the_limit() {
        let mut first = streaming(&["ab", "cd"]);
        let replay = Replay::keep(&mut first, 0);
        drop(first);
        assert_eq!(text(replay.again().unwrap().body).await, "abcd");
        assert!(replay.again().is_none());
    }

    #[tokio::test]
    async fn what_is_here_already_is_kept_whole() {
        let mut first = request("PUT", "/");
        first.body = Body::full("abc");
        let replay = Replay::keep(&mut first, 3);
        assert_eq!(text(first.body).await, "abc");
        assert_eq!(text(replay.again().unwrap().body).await, "abc");
        let mut large = request("PUT", "/");
        large.body = Body::full("abcd");
        let replay = Replay::keep(&mut large, 3);
        assert_eq!(text(replay.again().unwrap().body).await, "abcd");
        assert!(replay.again().is_none(), "more than may be kept");
        let mut empty = request("GET", "/");
        let replay = Replay::keep(&mut empty, 0);
        assert!(empty.body.is_empty() && replay.again().unwrap().body.is_empty());
    }

    #[tokio::test]
    async fn the_length_of_each_attempt_is_that_of_the_whole() {
        let mut first = request("PUT", "/");
        first.body =
            Body::stream(http_body_util::Full::new(Bytes::from("abcd")).map_err(|e| match e {}));
        let replay = Replay::keep(&mut first, 100);
        assert_eq!(first.body.size_hint().exact(), Some(4));
        first.body.frame().await.unwrap().unwrap();
        assert_eq!(replay.again().unwrap().body.size_hint().exact(), Some(4));
    }
}
