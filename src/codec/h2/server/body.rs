//! The body of a request, read as somebody polls for it; and interim answers, which go the other way meanwhile.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use super::side::Server;
use crate::codec::h2::arriving::Arriving;
use crate::codec::h2::fields::{self, LeaveOut};
use crate::codec::h2::frame;
use crate::codec::h2::shared::{Shared, State};
use crate::http::error::{CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::http::headers::Headers;
use crate::http::message::Interim;
use crate::net::timer::{self, Deadline};

/// Until the answer begins a caller may pause for no longer than `limit`. Later, a stream that is quiet on this side
/// may be one that listens.
pub(super) struct RequestBody {
    shared: Arc<Shared<Server>>,
    arriving: Arriving,
    limit: Option<Duration>,
    gap: Deadline,
}

impl RequestBody {
    pub fn new(shared: &Arc<Shared<Server>>, arriving: Arriving, limit: Option<Duration>) -> Self {
        RequestBody {
            shared: shared.clone(),
            arriving,
            limit,
            gap: Deadline::new(),
        }
    }

    /// Completes when the caller has paused for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>, answered: bool) -> Poll<Error> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        if !self.gap.is_set() {
            self.gap.set(timer::now() + limit);
        }
        ready!(self.gap.poll_passed(cx));
        if answered {
            self.limit = None;
            return Poll::Pending;
        }
        Poll::Ready(Error::new(
            REQUEST_TIMEOUT,
            "the request body stalled for longer than this listener allows",
        ))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Arriving { key, id, ended, .. } = this.arriving;
        if ended {
            return Poll::Ready(None);
        }
        let mut state = this.shared.state();
        let polled = this.arriving.poll_next(cx, &this.shared, &mut state);
        let side = state.get(key, id).map(|stream| &mut stream.side);
        let awaits_continue = side.is_some_and(|side| std::mem::take(&mut side.awaits_continue));
        let Poll::Ready(read) = polled else {
            let answered = state
                .get(key, id)
                .is_some_and(|stream| stream.side.answered);
            if awaits_continue && !answered {
                put_interim(&mut state, id, StatusCode::CONTINUE, &Headers::new());
                this.shared.ready.wake();
            }
            drop(state);
            return this
                .poll_stalled(cx, answered)
                .map(|error| Some(Err(error)));
        };
        this.gap.clear();
        Poll::Ready(match read {
            Ok(frame) => frame.map(Ok),
            Err(_) => Some(Err(gone())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.arriving.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.arriving.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Arriving { key, id, ended, .. } = self.arriving;
        if !ended {
            self.shared.state().disown(key, id);
        }
    }
}

fn gone() -> Error {
    Error::new(CALLER_GONE, "the caller reset its request")
}

/// Bytes that may wait for a caller when an interim answer comes; then it is dropped, as it is a hint only.
const MAX_WAITING: usize = 32 << 10;

/// Sends interim answers on one stream.
pub(super) struct InterimSender {
    pub shared: Arc<Shared<Server>>,
    pub key: u32,
    pub id: u32,
}

impl Interim for InterimSender {
    fn send(&self, status: StatusCode, headers: &Headers) {
        let mut state = self.shared.state();
        let waiting = state.out.waiting();
        let Some(stream) = state.get(self.key, self.id) else {
            return;
        };
        if !stream.side.answered && waiting < MAX_WAITING {
            put_interim(&mut state, self.id, status, headers);
            self.shared.ready.wake();
        }
    }

    fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        let Some(stream) = state.get(self.key, self.id) else {
            return Poll::Ready(());
        };
        if !stream.side.awaits_continue || !stream.incoming.is_awaited() {
            return Poll::Ready(());
        }
        stream.incoming.listen(cx);
        Poll::Pending
    }
}

fn put_interim(state: &mut State<Server>, id: u32, status: StatusCode, headers: &Headers) {
    let max = state.remote.max_payload;
    let encoder = &mut state.encoder;
    frame::put_headers(state.out.buffer(), id, false, max, |out| {
        encoder.begin(out);
        encoder.status(out, status);
        fields::put(encoder, out, headers, LeaveOut::Length);
    });
}
