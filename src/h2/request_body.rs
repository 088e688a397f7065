//! The body of a caller's request.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::Body;
use crate::error::{CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::timer::Deadline;

/// `body_timeout` is the longest gap between two pieces, while somebody waits for the next.
pub fn new(incoming: Incoming, body_timeout: Duration) -> Body {
    match incoming.is_end_stream() {
        true => Body::empty(),
        false => Body::stream(RequestBody {
            incoming,
            body_timeout,
            gap: Deadline::new(),
        }),
    }
}

struct RequestBody {
    incoming: Incoming,
    body_timeout: Duration,
    gap: Deadline,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.gap.clear();
            return Poll::Ready(frame.map(|frame| frame.map_err(caller_failed)));
        }
        if !this.gap.is_set() {
            this.gap.set(Instant::now() + this.body_timeout);
        }
        this.gap.poll_passed(cx).map(|()| {
            Some(Err(Error::new(
                REQUEST_TIMEOUT,
                "the request body stalled for longer than this listener allows",
            )))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn caller_failed(error: hyper::Error) -> Error {
    Error::new(CALLER_GONE, "the caller reset its request").because(error)
}
