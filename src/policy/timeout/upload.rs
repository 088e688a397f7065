//! How far a request's body has got, told to whoever judges how long an exchange takes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::body::{Body, Splice};
use crate::error::Error;
use crate::message::Request;
use crate::pipe::Pipe;
use crate::timer;

/// How far a request's body has got.
pub struct Upload {
    start: Instant,
    /// Nanoseconds from `start` to the last piece of the body; [`AWAITED`] while the caller owes one.
    last_piece: AtomicU64,
    /// The same, also while the caller owes one.
    passed: AtomicU64,
}

const AWAITED: u64 = u64::MAX;

impl Upload {
    /// Watches the body of a request from now on. None when all of it is here.
    pub fn watch_body(request: &mut Request, start: Instant) -> Option<Arc<Upload>> {
        if !request.body.is_stream() {
            return None;
        }
        let upload = Arc::new(Upload {
            start,
            last_piece: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        });
        let body = std::mem::replace(&mut request.body, Body::empty());
        request.body = Body::splicing(Watched {
            body,
            upload: upload.clone(),
        });
        Some(upload)
    }

    /// When the upstream had all that has arrived: now, while it waits for the caller.
    pub fn handed_over(&self) -> Instant {
        match self.last_piece.load(Ordering::Relaxed) {
            AWAITED => timer::now(),
            nanos => self.start + Duration::from_nanos(nanos),
        }
    }

    /// When the last piece passed.
    pub fn passed(&self) -> Instant {
        self.start + Duration::from_nanos(self.passed.load(Ordering::Relaxed))
    }

    /// Whether the caller owes a piece.
    pub fn is_awaited(&self) -> bool {
        self.last_piece.load(Ordering::Relaxed) == AWAITED
    }

    fn piece_handed_over(&self) {
        let nanos = timer::now().duration_since(self.start).as_nanos() as u64;
        self.last_piece.store(nanos, Ordering::Relaxed);
        self.passed.store(nanos, Ordering::Relaxed);
    }

    fn piece_awaited(&self) {
        self.last_piece.store(AWAITED, Ordering::Relaxed);
    }

    fn watch<T>(&self, polled: Poll<T>) -> Poll<T> {
        match polled {
            Poll::Pending => self.piece_awaited(),
            Poll::Ready(_) => self.piece_handed_over(),
        }
        polled
    }
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
        self.upload.watch(polled)
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
        self.upload.watch(polled)
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
