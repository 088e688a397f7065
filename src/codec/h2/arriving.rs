//! The body that arrives on a stream, as whoever reads it holds it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::incoming::Cut;
use super::shared::{Shared, Side, State};

pub struct Arriving {
    pub key: u32,
    pub id: u32,
    /// Bytes still to be read, when the head told.
    pub left: Option<u64>,
    /// Nothing is left to be read.
    pub ended: bool,
}

impl Arriving {
    pub fn new(key: u32, id: u32, left: Option<u64>) -> Self {
        Arriving {
            key,
            id,
            left,
            ended: false,
        }
    }

    /// Takes the next of it out of `state`, which is that of `shared`. The end of the body is `None`.
    pub fn poll_next<S: Side>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<S>,
        state: &mut State<S>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Cut>> {
        let Some(stream) = state.get(self.key, self.id) else {
            self.ended = true;
            return Poll::Ready(Err(Cut::Lost));
        };
        let read = ready!(stream.incoming.poll_read(cx));
        self.ended = stream.incoming.is_over() || read.is_err();
        if let Ok(Some(frame)) = &read
            && let Some(data) = frame.data_ref()
        {
            if state.read(self.key, data.len() as u32) {
                shared.ready.wake();
            }
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(read)
    }

    pub fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }
}
