//! A message's body on its way to the peer, taken piece by piece as the windows let go of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::time::Instant;

use super::shared::{Shared, Side};
use crate::http::body::{Body, Kept};
use crate::http::error::Error;

/// What one stream may write before the others get their turn.
const TURN: usize = 16 << 10;

pub struct Sending {
    body: Body,
    piece: Bytes,
    /// `piece` is the last.
    last: bool,
    trailers: Option<HeaderMap>,
    /// Bytes that the head has promised and the body still owes.
    owed: Option<u64>,
    /// Since when the peer has taken none of what is ready.
    pub blocked: Option<Instant>,
    /// What was taken from the body, where it may have to be sent elsewhere.
    kept: Kept,
}

/// What became of an attempt to send.
#[derive(Debug)]
pub enum Sent {
    /// All of it, and the end.
    All,
    /// What there was; the body wakes its slot when it has more.
    Waits,
    /// The window of the stream is closed.
    Blocked,
    /// The window of the connection is closed.
    AllBlocked,
    /// Enough is gathered.
    Full,
    /// Its share of this turn.
    Share,
    /// The stream is gone.
    Gone,
    /// The body has failed.
    Failed(Error),
    /// The body is not as long as its head says.
    WrongLength,
}

impl Sending {
    pub fn new(body: Body, owed: Option<u64>) -> Self {
        Sending {
            body,
            piece: Bytes::new(),
            last: false,
            trailers: None,
            owed,
            blocked: None,
            kept: Kept::not_at_all(),
        }
    }

    /// A body that is to be had again when the peer has not looked at it.
    pub fn keeping(body: Body, owed: Option<u64>) -> Self {
        Sending {
            kept: Kept::nothing(),
            ..Sending::new(body, owed)
        }
    }

    /// The rest of a body that was here whole.
    pub fn rest(piece: Bytes) -> Self {
        Sending {
            piece,
            last: true,
            ..Sending::new(Body::empty(), None)
        }
    }

    /// A body of which all is taken at once that is here.
    pub fn of(mut body: Body, owed: Option<u64>) -> Self {
        match body.take_full() {
            Some(piece) => Sending::rest(piece),
            None => Sending::new(body, owed),
        }
    }

    /// The body from its start, if what was taken from it was kept.
    pub fn into_whole(self) -> Option<Body> {
        self.kept.whole_with(self.body)
    }

    /// Whether [`Sending::into_whole`] has it.
    pub fn is_whole(&self) -> bool {
        self.kept.is_whole()
    }

    /// The peer has looked at it.
    pub fn let_go(&mut self) {
        self.kept.let_go();
    }

    /// Ends the body as failed.
    pub fn fail(self, error: &Error) {
        self.body.failed(error);
    }

    /// Writes what is ready.
    pub fn poll_send<S: Side>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared<S>,
        key: u32,
        id: u32,
    ) -> Sent {
        let mut share = TURN;
        loop {
            if self.piece.is_empty() && !self.last && self.trailers.is_none() {
                // Nothing is asked of the body before its last piece is gone.
                if let Some(closed) = closed(shared, key, id) {
                    return closed;
                }
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => return Sent::Waits,
                    Poll::Ready(frame) => {
                        if let Err(failed) = self.take(frame) {
                            return failed;
                        }
                    }
                }
                continue;
            }
            let mut state = shared.state();
            if state.get(key, id).is_none() {
                return Sent::Gone;
            }
            if !self.piece.is_empty() || self.last {
                if !state.out.has_room() {
                    return Sent::Full;
                }
                let sent = state.put_data(key, &mut self.piece, self.last);
                if !self.piece.is_empty() && sent == 0 {
                    return match state.send_window.available() {
                        0 => Sent::AllBlocked,
                        _ => Sent::Blocked,
                    };
                }
                self.blocked = None;
                if self.last && self.piece.is_empty() {
                    return Sent::All;
                }
                share = share.saturating_sub(sent);
                if share == 0 {
                    return Sent::Share;
                }
            }
            if self.piece.is_empty()
                && let Some(trailers) = self.trailers.take()
            {
                state.put_trailers(key, &trailers);
                return Sent::All;
            }
        }
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, Error>>) -> Result<(), Sent> {
        match frame {
            None => {
                self.kept.note_end();
                self.last = true;
            }
            Some(Err(error)) => return Err(Sent::Failed(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    if let Some(owed) = &mut self.owed {
                        *owed = owed
                            .checked_sub(data.len() as u64)
                            .ok_or(Sent::WrongLength)?;
                    }
                    self.kept.note_data(&data);
                    self.piece = data;
                    self.last = self.body.is_end_stream();
                }
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    if let Some(trailers) = &self.trailers {
                        self.kept.note_trailers(trailers);
                    }
                }
            },
        }
        let ends = self.last || self.trailers.is_some();
        match self.owed {
            Some(1..) if ends => Err(Sent::WrongLength),
            _ => Ok(()),
        }
    }
}

/// Why nothing may be sent now.
fn closed<S: Side>(shared: &Shared<S>, key: u32, id: u32) -> Option<Sent> {
    let mut state = shared.state();
    if state.get(key, id).is_none() {
        return Some(Sent::Gone);
    }
    (!state.out.has_room()).then_some(Sent::Full)
}
