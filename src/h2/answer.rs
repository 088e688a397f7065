//! Answers on their way to a caller over HTTP/2, and what their connection must know of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};

use crate::body::Body;
use crate::error::Error;
use crate::message::Response;

/// The streams of one connection.
#[derive(Default)]
pub(super) struct Streams {
    active: AtomicUsize,
    /// Answers of which the caller has yet to take what is ready.
    waiting: AtomicUsize,
    /// Pieces of answers that were taken so far.
    taken: AtomicU64,
}

impl Streams {
    /// Whether a request is under way, to the end of its answer.
    pub fn are_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// While answers wait for the caller to take them: a number that changes whenever it takes some.
    pub fn waiting(&self) -> Option<u64> {
        let waits = self.waiting.load(Ordering::Relaxed) > 0;
        waits.then(|| self.taken.load(Ordering::Relaxed))
    }
}

/// Counts a request until the end of its answer.
pub(super) struct UnderWay {
    streams: Arc<Streams>,
    waiting: bool,
}

impl UnderWay {
    pub fn new(streams: &Arc<Streams>) -> Self {
        streams.active.fetch_add(1, Ordering::Relaxed);
        UnderWay {
            streams: streams.clone(),
            waiting: false,
        }
    }

    fn set_waiting(&mut self, waiting: bool) {
        if waiting != std::mem::replace(&mut self.waiting, waiting) {
            match waiting {
                true => self.streams.waiting.fetch_add(1, Ordering::Relaxed),
                false => self.streams.waiting.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.set_waiting(false);
        self.streams.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, asked for its next piece only when the caller's window has let the last one go.
pub(super) struct Outgoing {
    body: Body,
    under_way: UnderWay,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.under_way.waiting {
            self.under_way.streams.taken.fetch_add(1, Ordering::Relaxed);
            self.under_way.set_waiting(false);
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.under_way.set_waiting(matches!(frame, Some(Ok(_))));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// `to_head`: the answer is to a HEAD request.
pub(super) fn to_http(
    response: Response,
    to_head: bool,
    under_way: UnderWay,
) -> http::Response<Outgoing> {
    let status = response.status;
    let mut body = response.body;
    let mut headers: HeaderMap = response.headers.into_map();
    for connection_specific in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(connection_specific);
    }
    if status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    if to_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        // The framing layer knows no answer whose body stays away: it would send it.
        if let Some(length @ 1..) = body.size_hint().exact()
            && status != StatusCode::NO_CONTENT
        {
            headers
                .entry(header::CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(length));
        }
        body = body.withheld();
    }
    let mut message = http::Response::new(Outgoing { body, under_way });
    *message.status_mut() = status;
    *message.headers_mut() = headers;
    message
}
