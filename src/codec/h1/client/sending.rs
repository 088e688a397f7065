//! A request's body on its way to the upstream.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body::Body as _;

use super::connection::Connection;
use crate::codec::h1::framing::Framing;
use crate::codec::h1::outgoing::{Outgoing, WrongLength};
use crate::codec::h1::taking::Taken;
use crate::http::body::{Body, Kept};
use crate::http::error::{Error, INTERNAL, Progress};
use crate::http::message::{Interim, Request};
use crate::http::semantics::expect;
use crate::net::timer::{self, Deadline};

/// While others wait for a connection, a caller may keep one only if so many bytes of its body go out in each
/// [`REVIEW`]. Otherwise as many slow callers as there are connections would shut everybody out.
const SLOW: u64 = 1 << 10;
const REVIEW: Duration = Duration::from_secs(1);

/// How long the body waits for the upstream's `100 Continue`.
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// The request's way out. Its head is in [`Outgoing`] already.
pub(super) struct Sending {
    body: Option<Body>,
    /// What was taken from the body, until the upstream answers. None without a body.
    kept: Option<Kept>,
    /// While the body waits for `100 Continue`.
    waits: Option<Box<Waits>>,
    /// Everything was handed to [`Outgoing`].
    gathered: bool,
    /// When to look again how fast the body comes, and the bytes that were out at the last look.
    review: Deadline,
    reviewed: u64,
    /// The upstream takes no more; its answer may be there all the same.
    failed: Option<std::io::Error>,
    /// The upstream does not want the body.
    unwanted: bool,
}

/// How long the body waits to be asked for: not for ever, and not when it is here already (RFC 9110, section 10.1.1).
struct Waits {
    caller: Arc<dyn Interim>,
    limit: Deadline,
}

impl Sending {
    /// Takes the request's body, unless there is none. One that is a stream is read to its end even if that is all that
    /// comes: there are policies that wait for it.
    pub fn new(request: &mut Request, framing: Framing) -> Self {
        let body = match framing {
            Framing::None if !request.body.is_stream() => None,
            _ => Some(std::mem::replace(&mut request.body, Body::empty())),
        };
        Sending {
            gathered: body.is_none(),
            waits: match framing {
                Framing::None => None,
                _ => Waits::of(request),
            },
            kept: body.as_ref().map(|_| Kept::nothing()),
            body,
            review: Deadline::new(),
            reviewed: 0,
            failed: None,
            unwanted: false,
        }
    }

    /// Hands on what the request's body has ready. Completes when nothing is left to do: see
    /// [`Sending::is_over`].
    ///
    /// # Errors
    /// The request's body failed.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Error>> {
        connection.out.begin_turn();
        while self.failed.is_none() && !self.unwanted {
            ready!(connection.out.poll_turn(cx));
            if !self.must_wait(cx) {
                self.gather(cx, connection)
                    // Whatever it was, sending the rest again would not mend it.
                    .map_err(|error| error.at(Progress::Sent))?;
            }
            if connection.out.is_empty() {
                return if self.gathered {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            if let Err(error) = ready!(connection.out.poll_flush(&connection.io, cx)) {
                self.failed = Some(error);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the body still waits to be asked for.
    fn must_wait(&mut self, cx: &mut Context<'_>) -> bool {
        let over = match &mut self.waits {
            None => return false,
            Some(waits) => {
                waits.caller.poll_body_begun(cx).is_ready()
                    || waits.limit.poll_passed(cx).is_ready()
            }
        };
        if over {
            self.waits = None;
        }
        !over
    }

    /// Completes when the caller has sent next to nothing of its body for a while; may be asked again.
    pub fn poll_slow(&mut self, cx: &mut Context<'_>, out: &Outgoing) -> Poll<()> {
        let callers_turn = !self.gathered && !self.unwanted && out.is_empty();
        if !callers_turn || self.waits.is_some() {
            self.review.clear();
            return Poll::Pending;
        }
        loop {
            if !self.review.is_set() {
                self.reviewed = out.total();
                self.review.set(timer::now() + REVIEW);
            }
            ready!(self.review.poll_passed(cx));
            if out.total() - self.reviewed < SLOW {
                return Poll::Ready(());
            }
        }
    }

    fn gather(&mut self, cx: &mut Context<'_>, connection: &mut Connection) -> Result<(), Error> {
        let Connection { io, out, .. } = connection;
        while !self.gathered && out.has_room() && self.may_take(out) {
            let Some(body) = &mut self.body else {
                self.gathered = true;
                return Ok(());
            };
            // What is in a pipe cannot be put back into the body.
            let may_move = out.total() > 0;
            let Poll::Ready(taken) = out.poll_take(cx, io, body, may_move) else {
                return Ok(());
            };
            let taken = taken?;
            if let Some(kept) = &mut self.kept {
                match &taken {
                    Taken::Data(data) => kept.note_data(data),
                    Taken::Moved(_) => self.kept = None,
                    Taken::Trailers(trailers) => kept.note_trailers(trailers),
                    Taken::End => kept.note_end(),
                }
            }
            let put = out.put(taken, body.is_end_stream());
            self.gathered = put.map_err(wrong_length)?;
        }
        Ok(())
    }

    /// Until a byte is written, no more is taken than can be put back.
    fn may_take(&self, out: &Outgoing) -> bool {
        out.total() > 0 || self.kept.as_ref().is_some_and(Kept::has_room)
    }

    /// The upstream said `100 Continue`.
    pub fn go_on(&mut self) {
        self.waits = None;
    }

    /// The upstream answered. If that was in place of `100 Continue`, and is no success, it does not want the
    /// body (RFC 9110, section 10.1.1).
    pub fn answered(&mut self, success: bool) {
        self.unwanted |= self.waits.is_some() && !success;
        self.kept = None;
    }

    /// Whether the whole request was written.
    pub fn is_over(&self, out: &Outgoing) -> bool {
        self.gathered && self.failed.is_none() && !self.unwanted && out.is_empty()
    }

    /// Why the upstream takes no more.
    pub fn take_failure(&mut self) -> Option<std::io::Error> {
        self.failed.take()
    }

    /// Puts the body back where it came from, if it is still whole; says whether it is.
    pub fn give_back(self, request: &mut Request) -> bool {
        let Some(rest) = self.body else {
            return true;
        };
        match self.kept.and_then(|kept| kept.whole_with(rest)) {
            Some(body) => request.body = body,
            None => return false,
        }
        true
    }
}

impl Waits {
    /// None when the caller does not ask for it. One that cannot be asked is not waited for: HTTP/1.0 knows no
    /// expectations.
    fn of(request: &Request) -> Option<Box<Self>> {
        let caller = request.context.interim.as_ref()?;
        expect::expects_continue(&request.headers).then(|| {
            let mut limit = Deadline::new();
            limit.set(timer::now() + CONTINUE_WAIT);
            Box::new(Waits {
                caller: caller.clone(),
                limit,
            })
        })
    }
}

fn wrong_length(_: WrongLength) -> Error {
    Error::new(
        INTERNAL,
        "the request's body is not as long as its head says",
    )
}
