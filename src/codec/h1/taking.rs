//! What a body has ready, on its way into a message that goes out.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};

use super::outgoing::{Outgoing, WrongLength};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::net::io::Io;

/// The next of a body.
pub enum Taken {
    Data(Bytes),
    /// Bytes that lie in the pipe by now.
    Moved(u64),
    Trailers(HeaderMap),
    End,
}

impl Outgoing {
    /// Takes the next of `body`, to be handed to [`Outgoing::put`]; with `may_move` without a copy, where the body and
    /// `io` allow it.
    #[inline]
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        io: &Io,
        body: &mut Body,
        may_move: bool,
    ) -> Poll<Result<Taken, Error>> {
        if may_move
            && body.can_splice()
            && let Some(pipe) = self.pipe_to(io)
            && let Some(moved) = ready!(body.poll_splice(cx, pipe))?
        {
            return Poll::Ready(Ok(Taken::Moved(moved)));
        }
        let frame = ready!(Pin::new(body).poll_frame(cx)).transpose()?;
        Poll::Ready(Ok(match frame.map(Frame::into_data) {
            Some(Ok(data)) => Taken::Data(data),
            Some(Err(frame)) => Taken::Trailers(frame.into_trailers().unwrap_or_default()),
            None => Taken::End,
        }))
    }

    /// Adds what was taken of a body, and the end if the body is known to be over, which spares the poll that would say
    /// so. Says whether the end is added.
    ///
    /// # Errors
    /// The body is not as long as its head says.
    #[inline]
    pub fn put(&mut self, taken: Taken, is_over: bool) -> Result<bool, WrongLength> {
        match taken {
            Taken::Data(data) => self.push(data)?,
            Taken::Moved(count) => self.moved(count)?,
            Taken::Trailers(trailers) => {
                self.end(Some(&trailers))?;
                return Ok(true);
            }
            Taken::End => {
                self.end(None)?;
                return Ok(true);
            }
        }
        if is_over {
            self.end(None)?;
        }
        Ok(is_over)
    }
}
