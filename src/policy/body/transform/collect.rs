//! A body read whole, or counted as it streams.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use metrics::Counter;

use super::refusal::Refused;
use crate::http::body::Body;
use crate::http::error::Error;

/// Why a body was not read to its end.
pub enum Unread {
    Refused(Refused),
    Failed(Error),
}

impl Unread {
    pub fn into_error(self, refuse: impl FnOnce(&Refused) -> Error) -> Error {
        match self {
            Unread::Refused(refused) => refuse(&refused),
            Unread::Failed(error) => error,
        }
    }
}

const TOO_LARGE: Unread = Unread::Refused(Refused::TooLarge);

/// All of a body, its trailers aside. What announces itself as too large is not read at all.
///
/// # Errors
/// It has more than `limit` bytes, or its source failed.
pub async fn collect(body: &mut Body, limit: usize) -> Result<Bytes, Unread> {
    let expected = body.size_hint().lower();
    if expected > limit as u64 {
        return Err(TOO_LARGE);
    }
    if let Some(whole) = body.take_full() {
        return Ok(whole);
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(Unread::Failed)?.into_data() else {
            continue;
        };
        let so_far = first.len().max(all.len());
        if so_far + piece.len() > limit {
            return Err(TOO_LARGE);
        }
        match (first.is_empty(), all.is_empty()) {
            (true, true) => first = piece,
            (false, true) => {
                all.reserve((expected as usize).max(first.len() + piece.len()));
                all.extend_from_slice(&first);
                all.extend_from_slice(&piece);
            }
            _ => all.extend_from_slice(&piece),
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// The content of a body that has at most `most` bytes. It is still there afterwards, as is what was read of a longer
/// one.
///
/// # Errors
/// Its source failed.
pub async fn peek(body: &mut Body, most: usize) -> Result<Option<Bytes>, Error> {
    if body.size_hint().lower() > most as u64 {
        return Ok(None);
    }
    let mut read = VecDeque::new();
    let mut content = BytesMut::new();
    while content.len() <= most {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame?;
        if let Some(piece) = frame.data_ref() {
            content.extend_from_slice(piece);
        }
        read.push_back(frame);
    }
    let is_whole = content.len() <= most;
    let rest = std::mem::replace(body, Body::empty());
    if !is_whole || !content.is_empty() {
        *body = Body::stream(ReadAhead { read, rest });
    }
    Ok(is_whole.then(|| content.freeze()))
}

/// A body of which some was read before its turn.
struct ReadAhead {
    read: VecDeque<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for ReadAhead {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.read.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.iter().filter_map(Frame::data_ref);
        let read: u64 = read.map(|piece| piece.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut both = SizeHint::new();
        if let Some(upper) = rest.upper() {
            both.set_upper(upper.saturating_add(read));
        }
        both.set_lower(rest.lower().saturating_add(read));
        both
    }
}

/// A body that fails with `too_large`, and is counted, when it turns out longer than `limit`.
pub fn limited(body: Body, limit: u64, too_large: fn(u64) -> Error, failures: Counter) -> Body {
    Body::stream(Limited {
        body,
        left: limit,
        limit,
        too_large,
        failures,
    })
}

struct Limited {
    body: Body,
    left: u64,
    limit: u64,
    too_large: fn(u64) -> Error,
    failures: Counter,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |piece| piece.len() as u64),
            _ => 0,
        };
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Poll::Ready(frame)
            }
            None => {
                self.failures.increment(1);
                Poll::Ready(Some(Err((self.too_large)(self.limit))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;

    fn pieces(pieces: &'static [&'static str]) -> Body {
        let frames = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from(*piece))));
        Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn read(mut body: Body, limit: usize) -> Option<Bytes> {
        collect(&mut body, limit).await.ok()
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        assert_eq!(read(Body::empty(), 0).await.unwrap(), "");
        assert_eq!(read(Body::full("abc"), 3).await.unwrap(), "abc");
        assert!(read(Body::full("abc"), 2).await.is_none());
        assert_eq!(
            read(pieces(&["ab", "", "c", "d"]), 4).await.unwrap(),
            "abcd"
        );
        assert!(read(pieces(&["ab", "c"]), 2).await.is_none());
    }

    #[tokio::test]
    async fn a_look_ahead_takes_nothing_away() {
        for (parts, most, seen) in [
            (&["", ""][..], 0, Some("")),
            (&["ab", "c"], 3, Some("abc")),
            (&["ab", "c", "d"], 2, None),
            (&["", "a", "b"], 0, None),
        ] {
            let mut body = pieces(parts);
            let content = peek(&mut body, most).await.unwrap();
            assert_eq!(content.as_deref(), seen.map(str::as_bytes), "{parts:?}");
            assert_eq!(body.collect().await.unwrap().to_bytes(), parts.concat());
        }
        let mut body = Body::full("ab");
        assert!(peek(&mut body, 1).await.unwrap().is_none());
        assert_eq!(body.take_full().unwrap(), "ab");
    }

    #[tokio::test]
    async fn a_stream_is_counted() {
        let too_large = |limit| {
            Error::new(
                crate::http::error::BAD_REQUEST,
                format!("more than {limit}"),
            )
        };
        let mut body = limited(pieces(&["ab", "c", "d"]), 3, too_large, Counter::noop());
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "ab"
        );
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "c"
        );
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.detail(), "more than 3");
    }
}
