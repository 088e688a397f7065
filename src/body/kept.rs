//! A body that is kept while it passes, so that it can be sent again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, Content};
use crate::error::Error;

/// What has passed of a body so far.
pub struct Kept(Arc<Mutex<Passed>>);

struct Passed {
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// Room that is left.
    room: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Passing,
    Whole,
    /// Too long, or cut off.
    Lost,
}

impl Body {
    /// The same body, of which up to `limit` bytes are kept as they pass. One that is certainly longer is not kept
    /// at all.
    pub fn keep(self, limit: usize) -> (Body, Kept) {
        let (state, pieces) = match &self.content {
            _ if self.size_hint().lower() > limit as u64 => (State::Lost, Vec::new()),
            Content::Empty => (State::Whole, Vec::new()),
            Content::Full(bytes) => (State::Whole, vec![bytes.clone()]),
            Content::Stream(_) | Content::Splicing(_) => (State::Passing, Vec::new()),
        };
        let passed = Arc::new(Mutex::new(Passed {
            pieces,
            trailers: None,
            room: limit,
            state,
        }));
        let kept = Kept(passed.clone());
        match state {
            State::Passing => (Body::stream(Keeping { body: self, passed }), kept),
            _ => (self, kept),
        }
    }
}

impl Kept {
    /// The body once more, if all of it was there from the start or has passed, and was kept.
    pub fn whole(&self) -> Option<Body> {
        let passed = lock(&self.0);
        if passed.state != State::Whole {
            return None;
        }
        Some(match (&passed.trailers, &passed.pieces[..]) {
            (None, []) => Body::empty(),
            (None, [only]) => Body::full(only.clone()),
            (None, pieces) => Body::full(pieces.concat()),
            (Some(trailers), pieces) => Body::stream(Again {
                content: Some(pieces.concat().into()).filter(|content: &Bytes| !content.is_empty()),
                trailers: Some(trailers.clone()),
            }),
        })
    }
}

fn lock(passed: &Mutex<Passed>) -> MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Passed {
    fn add(&mut self, frame: &Frame<Bytes>) {
        if self.state != State::Passing {
            return;
        }
        if let Some(data) = frame.data_ref() {
            match self.room.checked_sub(data.len()) {
                Some(room) => {
                    self.room = room;
                    self.pieces.push(data.clone());
                }
                None => self.lose(),
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Some(trailers.clone());
        }
    }

    fn lose(&mut self) {
        self.state = State::Lost;
        self.pieces = Vec::new();
    }
}

struct Keeping {
    body: Body,
    passed: Arc<Mutex<Passed>>,
}

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let mut passed = lock(&self.passed);
        match &polled {
            Some(Ok(frame)) => {
                passed.add(frame);
                // The consumer may stop here.
                if passed.state == State::Passing && self.body.is_end_stream() {
                    passed.state = State::Whole;
                }
            }
            Some(Err(_)) => passed.lose(),
            None if passed.state == State::Passing => passed.state = State::Whole,
            None => {}
        }
        drop(passed);
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Content and trailers that are all here.
struct Again {
    content: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Again {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let content = self.content.take().map(Frame::data);
        let frame = content.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    fn streaming(frames: Vec<Result<Frame<Bytes>, Error>>) -> Body {
        Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
    }

    fn data(text: &'static str) -> Result<Frame<Bytes>, Error> {
        Ok(Frame::data(text.into()))
    }

    async fn text(body: Body) -> String {
        let bytes = body.collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_has_passed_whole_can_be_sent_again() {
        for (body, expected) in [
            (Body::empty(), ""),
            (Body::full("abc"), "abc"),
            (streaming(vec![data("ab"), data("c")]), "abc"),
            (streaming(vec![]), ""),
        ] {
            let (body, kept) = body.keep(3);
            assert_eq!(text(body).await, expected);
            for _ in 0..2 {
                assert_eq!(text(kept.whole().unwrap()).await, expected);
            }
        }
    }

    #[tokio::test]
    async fn trailers_come_again() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, "a".parse().unwrap())]);
        let frames = vec![data("ab"), Ok(Frame::trailers(trailers.clone()))];
        let (body, kept) = streaming(frames).keep(9);
        body.collect().await.unwrap();
        let again = kept.whole().unwrap().collect().await.unwrap();
        assert_eq!(again.trailers(), Some(&trailers));
        assert_eq!(again.to_bytes(), "ab");
    }

    #[tokio::test]
    async fn what_is_too_long_or_did_not_end_cannot() {
        let (body, kept) = streaming(vec![data("ab"), data("cd")]).keep(3);
        assert_eq!(text(body).await, "abcd");
        assert!(kept.whole().is_none());

        let (body, kept) = Body::full("abcd").keep(3);
        assert!(matches!(body.size_hint().exact(), Some(4)));
        assert_eq!(text(body).await, "abcd");
        assert!(kept.whole().is_none());

        let (mut body, kept) = streaming(vec![data("ab"), data("c")]).keep(3);
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert!(kept.whole().is_none());

        let failure = Error::new(crate::error::UPSTREAM_RESET, "cut");
        let (body, kept) = streaming(vec![data("ab"), Err(failure)]).keep(3);
        assert!(body.collect().await.is_err());
        assert!(kept.whole().is_none());
    }
}
