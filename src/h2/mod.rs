//! HTTP/2 (RFC 9113), framed by `hyper` and `h2`; here it meets our own messages and sockets.
//!
//! - [`io`]: a socket that is written once per turn of the event loop.
//! - [`server`]: the side that callers speak to.
//! - [`client`]: the side that speaks to upstreams.

pub mod client;
pub mod io;
mod request_body;
pub mod server;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body::Body;
use crate::error::Error;

/// What one stream may send before it is read: enough for a fast transfer on a local network.
const STREAM_WINDOW: u32 = 256 << 10;
/// What all streams of a connection may send; above one stream's, or one that is not read stalls its siblings.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that one stream may hold for sending.
const SEND_BUFFER: usize = 64 << 10;

/// A body that arrives over HTTP/2; `failed` says what its failure means on this side.
fn body(incoming: Incoming, failed: fn(hyper::Error) -> Error) -> Body {
    match incoming.is_end_stream() {
        true => Body::empty(),
        false => Body::stream(IncomingBody { incoming, failed }),
    }
}

struct IncomingBody {
    incoming: Incoming,
    failed: fn(hyper::Error) -> Error,
}

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let failed = self.failed;
        Pin::new(&mut self.incoming)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map_err(failed)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
