//! Has a request's body tell how far it has got to whoever judges how long an exchange takes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::http::body::{Body, Splice};
use crate::http::error::Error;
use crate::http::message::{Request, Upload};
use crate::net::pipe::Pipe;

/// Watches the body of a request from now on. None when all of it is here.
pub fn watch_body(request: &mut Request, start: Instant) -> Option<Arc<Upload>> {
    if !request.body.is_stream() {
        return None;
    }
    let upload = Arc::new(Upload::new(start));
    let body = std::mem::replace(&mut request.body, Body::empty());
    request.body = Body::splicing(Watched {
        body,
        upload: upload.clone(),
    });
    Some(upload)
}

/// A request's body that tells how it gets on.
struct Watched {
    body: Body,
    upload: Arc<Upload>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.upload.note(&polled);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Splice for Watched {
    fn can_splice(mut self: Pin<&mut Self>) -> bool {
        self.body.can_splice()
    }

    fn poll_splice(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>> {
        let polled = self.body.poll_splice(cx, pipe);
        self.upload.note(&polled);
        polled
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Nobody waits for the caller any more, so what follows is the upstream's time.
        if self.upload.is_awaited() {
            self.upload.piece_handed_over();
        }
    }
}
