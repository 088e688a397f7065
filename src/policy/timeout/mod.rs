//! `timeout`, `idle_timeout` and `deadline`: how long an exchange may take.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Block, Blocks, FromBlocks};
use crate::http::body::{Body, Splice};
use crate::http::error::{DEADLINE_EXCEEDED, Error, Progress, REQUEST_TIMEOUT, UPSTREAM_TIMEOUT};
use crate::http::exchange::{Exchange, Limits, Why};
use crate::http::message::{Request, Response, Upload};
use crate::net::pipe::Pipe;
use crate::net::timer::{self, Deadline};
use crate::value::{Limit, Toggle};

mod caller;
mod config;
mod upload;

use upload::watch_body;

pub(super) use caller::tell_time_left;
pub use config::{Idle, UntilHead, Whole};

/// How long all attempts together may take to the head of the response.
pub(super) fn until_head(blocks: &Blocks<'_>) -> Option<Duration> {
    length(blocks, |UntilHead(limit)| *limit)
}

/// What a setting says, or its default.
fn length<T: Block + Clone + 'static>(
    blocks: &Blocks<'_>,
    limit: impl FnOnce(&T) -> Limit,
) -> Option<Duration> {
    let setting = blocks.get::<Toggle<T>>().cloned();
    limit(setting.or_else(Toggle::by_default)?.on()?).0
}

/// Limits the wait for the response's head, the time in which nothing passes behind it, and the whole exchange.
pub(super) struct Timeout {
    head: Option<Duration>,
    idle: Option<Duration>,
    whole: Option<Duration>,
}

impl FromBlocks for Timeout {
    /// What a caller asks for holds also where all three are off.
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        Some(Timeout {
            head: until_head(blocks),
            idle: length(blocks, |Idle(limit)| *limit),
            whole: length(blocks, |Whole(limit)| *limit),
        })
    }
}

impl Timeout {
    /// Has whoever asks about the request learn which limit has passed.
    #[cold]
    fn tell(&self, error: &Error, limits: &Limits, exchange: &Exchange<'_>) {
        let did = match (error.reason(), self.head, self.whole) {
            (UPSTREAM_TIMEOUT, Some(length), _) => {
                format!("waits no longer than {length:?} for an answer")
            }
            (DEADLINE_EXCEEDED, _, _) if limits.hurried => {
                "lets it take no longer than its caller asked for".to_owned()
            }
            (DEADLINE_EXCEEDED, _, Some(length)) => {
                format!("lets it take no longer than {length:?} (`deadline`)")
            }
            _ => return,
        };
        exchange.trail().acted("timeout", did);
    }
}

impl Policy for Timeout {
    async fn apply(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        let received = request.context.received;
        let own = self.whole.and_then(|length| received.checked_add(length));
        let asked = caller::limit(&request).and_then(|length| received.checked_add(length));
        let deadline = earliest(own, asked);
        let start = timer::now();
        let upload = watch_body(&mut request, start);
        let waiting = self.head.map(|length| Waiting {
            length,
            start,
            upload: upload.as_deref(),
        });
        let limits = Limits {
            deadline,
            hurried: deadline != own,
            head_by: waiting.as_ref().and_then(Waiting::certain_until),
        };
        tell_time_left(&mut request, &limits);
        let exchange = next.exchange.limited(&limits, upload.as_deref());
        let answered = head(next.within(&exchange), request, waiting).await;
        let mut response = answered.inspect_err(|error| self.tell(error, &limits, &exchange))?;

        if let Some(upgraded) = &mut response.upgrade {
            upgraded.idle_limit = self.idle;
        }
        response.deadline = earliest(deadline, response.deadline);
        let waits = response.body.is_stream() && !response.body.is_end_stream();
        if waits && (self.idle.is_some() || deadline.is_some()) {
            response.body = Body::splicing(Limited {
                body: response.body,
                idle: self.idle,
                upload,
                deadline,
                hurried: limits.hurried,
                waiting_since: None,
                limit: Deadline::new(),
            });
        }
        Ok(response)
    }
}

/// The answer, if its head comes in time.
async fn head(
    next: Next<'_>,
    request: Box<Request>,
    waiting: Option<Waiting<'_>>,
) -> Result<Box<Response>, Error> {
    // The request's body may move on meanwhile, and the limit with it.
    let Limits {
        deadline, hurried, ..
    } = *next.exchange.limits();
    let head_by = || waiting.as_ref().and_then(Waiting::until);
    let mut answer = next.call(request);
    let mut limit = Deadline::new();
    let in_time = poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        let Some(until) = earliest(head_by(), deadline) else {
            return Poll::Pending;
        };
        limit.set(until);
        ready!(limit.poll_passed(cx));
        Poll::Ready(Err(match deadline {
            Some(deadline) if deadline <= until => deadline_exceeded(),
            _ => Error::new(UPSTREAM_TIMEOUT, "the upstream took too long to answer"),
        }
        .at(Progress::Sent)))
    })
    .await;
    in_time.unwrap_or_else(|error| {
        let why = if is_hurried(&error, hurried) {
            Why::Hurried
        } else {
            Why::Overdue
        };
        Err(next.exchange.cut_late(answer, why, error))
    })
}

/// Whether it is a caller in a hurry whose time is over. It is as one that goes away: neither says anything about the
/// upstream, or one caller could open a breaker for all others.
fn is_hurried(error: &Error, hurried: bool) -> bool {
    hurried && error.reason() == DEADLINE_EXCEEDED
}

fn deadline_exceeded() -> Error {
    Error::new(DEADLINE_EXCEEDED, "the exchange took too long")
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The wait for a response's head. It begins when the upstream has all of the request that has arrived, so that
/// neither a long upload nor a slow caller counts as a slow upstream.
struct Waiting<'a> {
    length: Duration,
    start: Instant,
    /// None when the whole request was here from the start.
    upload: Option<&'a Upload>,
}

impl Waiting<'_> {
    /// When it has lasted too long, if nothing can change that any more.
    fn certain_until(&self) -> Option<Instant> {
        match self.upload {
            Some(_) => None,
            None => self.until(),
        }
    }

    /// When it has lasted too long, as things stand.
    fn until(&self) -> Option<Instant> {
        let since = match self.upload {
            Some(upload) => upload.handed_over(),
            None => self.start,
        };
        since.checked_add(self.length)
    }
}

/// A response's body that fails when a piece, or its end, comes too late.
///
/// Only the wait for a piece counts, not the time that its reader takes. An exchange is not idle while its caller still
/// sends: that passes as well.
struct Limited {
    body: Body,
    idle: Option<Duration>,
    /// The request's body, when it was not here from the start.
    upload: Option<Arc<Upload>>,
    deadline: Option<Instant>,
    hurried: bool,
    waiting_since: Option<Instant>,
    limit: Deadline,
}

impl Limited {
    /// Fails when the wait has lasted too long.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Late> {
        let since = *self.waiting_since.get_or_insert_with(timer::now);
        let since = match &self.upload {
            Some(upload) => since.max(upload.last_piece()),
            None => since,
        };
        let idle_until = self.idle.and_then(|length| since.checked_add(length));
        let Some(until) = earliest(idle_until, self.deadline) else {
            return Poll::Pending;
        };
        self.limit.set(until);
        ready!(self.limit.poll_passed(cx));
        Poll::Ready(match self.deadline {
            Some(deadline) if deadline <= until => Late::Deadline,
            _ if self
                .upload
                .as_ref()
                .is_some_and(|upload| upload.is_awaited()) =>
            {
                Late::Both
            }
            _ => Late::Upstream,
        })
    }

    /// Has the body polled, as long as it is in time.
    fn poll_in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Body, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Error>> {
        // A body whose pieces are always ready never waits, and must end in time all the same.
        if self
            .deadline
            .is_some_and(|deadline| deadline <= timer::now())
        {
            return Poll::Ready(Err(self.cut(Late::Deadline)));
        }
        match poll(&mut self.body, cx) {
            Poll::Ready(polled) => {
                self.waiting_since = None;
                Poll::Ready(Ok(polled))
            }
            Poll::Pending => {
                let late = ready!(self.poll_limits(cx));
                Poll::Ready(Err(self.cut(late)))
            }
        }
    }

    /// Lets go of the source at once, so that what it holds upstream is freed.
    fn cut(&mut self, late: Late) -> Error {
        let body = std::mem::replace(&mut self.body, Body::empty());
        let error = match late {
            Late::Deadline => deadline_exceeded(),
            Late::Upstream => Error::new(
                UPSTREAM_TIMEOUT,
                "the upstream stopped in the middle of its answer",
            ),
            Late::Both => Error::new(
                REQUEST_TIMEOUT,
                "neither side has sent anything for as long as the route allows",
            ),
        }
        .at(Progress::Answering);
        self.deadline = None;
        if is_hurried(&error, self.hurried) {
            drop(body);
        } else {
            body.failed(&error);
        }
        error
    }
}

/// Whose time is over.
#[derive(Clone, Copy)]
enum Late {
    Deadline,
    Upstream,
    /// The caller owes a piece of its request as well, for which the upstream may be waiting.
    Both,
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let poll = |body: &mut Body, cx: &mut Context<'_>| Pin::new(body).poll_frame(cx);
        match ready!(self.poll_in_time(cx, poll)) {
            Ok(polled) => Poll::Ready(polled),
            Err(late) => Poll::Ready(Some(Err(late))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Splice for Limited {
    fn can_splice(mut self: Pin<&mut Self>) -> bool {
        self.body.can_splice()
    }

    fn poll_splice(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>> {
        let poll = |body: &mut Body, cx: &mut Context<'_>| body.poll_splice(cx, pipe);
        ready!(self.poll_in_time(cx, poll)).flatten().into()
    }
}

#[cfg(test)]
mod tests;
