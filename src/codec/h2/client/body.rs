//! The body of an answer, read as somebody polls for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::side::{Client, finish};
use super::stream::failed;
use crate::codec::h2::arriving::Arriving;
use crate::codec::h2::frame::Code;
use crate::codec::h2::shared::Shared;
use crate::http::body::Body;
use crate::http::error::{Error, Progress};

/// Counts an exchange until the end of its answer.
pub(super) struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    pub fn new(in_flight: &Arc<AtomicUsize>) -> Self {
        in_flight.fetch_add(1, Ordering::Relaxed);
        UnderWay(in_flight.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct ResponseBody {
    shared: Arc<Shared<Client>>,
    arriving: Arriving,
    _under_way: UnderWay,
}

impl ResponseBody {
    pub fn new(shared: &Arc<Shared<Client>>, arriving: Arriving, under_way: UnderWay) -> Self {
        ResponseBody {
            shared: shared.clone(),
            arriving,
            _under_way: under_way,
        }
    }

    /// As the body of a message. `bodyless`: nothing can be in it but its end.
    pub fn into_body(mut self, bodyless: bool) -> Body {
        let Arriving { key, id, .. } = self.arriving;
        let mut state = self.shared.state();
        let stream = state.get(key, id);
        let is_there = stream.is_some();
        let is_over = stream.is_none_or(|stream| stream.incoming.is_over());
        if is_over && bodyless {
            self.arriving.ended = true;
            if is_there {
                finish(&self.shared, &mut state, key);
            }
            return Body::empty();
        }
        drop(state);
        if is_over {
            // An end that came behind the head goes on as such.
            self.arriving.left = Some(0);
        }
        Body::stream(self)
    }
}

impl http_body::Body for ResponseBody {
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
        let read = ready!(this.arriving.poll_next(cx, &this.shared, &mut state));
        let stream = state.get(key, id);
        let is_there = stream.is_some();
        let frame = match read {
            Ok(frame) => frame.map(Ok),
            Err(cut) => {
                let fault = stream.and_then(|stream| stream.side.fault.take());
                let error = fault.unwrap_or_else(|| failed(cut));
                Some(Err(error.at(Progress::Answering)))
            }
        };
        if this.arriving.ended && is_there {
            finish(&this.shared, &mut state, key);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.arriving.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.arriving.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        let Arriving { key, id, ended, .. } = self.arriving;
        if !ended {
            give_up(&self.shared, key, id);
        }
    }
}

/// Forgets a stream; if it has not ended, the upstream is told that nobody waits for it.
pub(super) fn give_up(shared: &Shared<Client>, key: u32, id: u32) {
    let mut state = shared.state();
    match state.find(id) {
        Some(_) => state.reset(key, id, Code::CANCEL),
        None if state.get(key, id).is_some() => {
            state.remove(key);
        }
        None => return,
    }
    shared.ready.wake();
}
