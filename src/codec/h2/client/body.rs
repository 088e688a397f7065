//! The body of an answer, read as somebody polls for it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::side::{Client, finish};
use super::stream::failed;
use crate::codec::h2::frame::Code;
use crate::codec::h2::incoming::Piece;
use crate::codec::h2::shared::Shared;
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
    pub shared: Arc<Shared<Client>>,
    pub key: u32,
    pub id: u32,
    /// Bytes still to be read, when the head told.
    pub left: Option<u64>,
    pub ended: bool,
    pub _under_way: UnderWay,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut state = this.shared.state();
        let Some(stream) = state.get(this.key, this.id) else {
            this.ended = true;
            return Poll::Ready(None);
        };
        let read = ready!(stream.incoming.poll_read(cx));
        this.ended = stream.incoming.is_over() || read.is_err();
        let fault = stream.side.fault.take();
        if let Ok(Piece::Data(data)) = &read {
            if state.read(this.key, data.len() as u32) {
                this.shared.ready.wake();
            }
            this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
        }
        if this.ended {
            finish(&this.shared, &mut state, this.key);
        }
        Poll::Ready(match read {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::End) => None,
            Err(cut) => {
                let error = fault.unwrap_or_else(|| failed(cut));
                Some(Err(error.at(Progress::Answering)))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if !self.ended {
            give_up(&self.shared, self.key, self.id);
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
