//! The side that callers speak to: one connection, one request after another.

mod answer;
mod ending;
mod serve;
mod shared;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, Version};

pub use self::serve::{refuse, serve};
use self::shared::Shared;
use super::head::{self, Limits, RequestHead};
use super::outgoing::Outgoing;
use super::pace::Pace;
use crate::codec::Settings;
use crate::http::body::Body;
use crate::http::error::{Error, REQUEST_TIMEOUT};
use crate::http::message::{Interim, Outline};
use crate::http::semantics::te;
use crate::net::io::Io;
use crate::net::timer::{self, Deadline};

/// How long an idle connection is kept when draining: a request may be on its way.
pub const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// Bytes of following requests that are taken while one is answered.
const PIPELINED: usize = 64 << 10;

/// A caller's connection.
pub(in crate::codec::h1) struct Connection {
    shared: Arc<Shared>,
    out: Outgoing,
    settings: Settings,
    head_limits: Limits,
    deadline: Deadline,
    /// Bytes of the answer that were written when the caller last took some.
    stalled_at: u64,
    exchange: Exchange,
    next: Next,
    /// The last head was refused, so nobody knows what the caller goes on to send.
    refused: bool,
}

/// What comes next on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A request, or the end by either side.
    Request,
    /// The end, so that the last answer arrives.
    End,
    /// Nothing: it has ended, or changed its protocol, or broken, or an answer is being written.
    Nothing,
}

/// What the request under way says about its answer.
#[derive(Default)]
struct Exchange {
    is_head: bool,
    http_10: bool,
    keep_alive: bool,
    /// The caller itself wants no other exchange on this connection.
    is_last: bool,
    wants_trailers: bool,
}

impl Exchange {
    fn of(head: &RequestHead) -> Self {
        Exchange {
            is_head: head.method == Method::HEAD,
            http_10: head.version == Version::HTTP_10,
            keep_alive: head.keep_alive,
            is_last: !head.keep_alive,
            wants_trailers: te::accepts_trailers(&head.headers),
        }
    }
}

impl Connection {
    /// `early` are bytes that were read to tell the protocol.
    pub fn new(io: Io, early: BytesMut, settings: Settings) -> Self {
        Connection {
            shared: Arc::new(Shared::new(io, early, settings.body_timeout)),
            out: Outgoing::default(),
            head_limits: Limits::new(settings.max_header_bytes as usize, settings.max_headers),
            settings,
            deadline: Deadline::new(),
            stalled_at: 0,
            exchange: Exchange::default(),
            next: Next::Request,
            refused: false,
        }
    }

    /// What `receive` makes of the next request; `None` when the connection has ended, by either side. Behind its last
    /// answer it is ended here.
    ///
    /// `draining` is asked whenever this task is woken. A head is large: `receive` puts it where it is to stay, where
    /// returning it would copy it at every step.
    ///
    /// # Errors
    /// What is to be answered before closing: `bad_request`, `headers_too_large`, `request_timeout`; with an outline of
    /// the head.
    pub(in crate::codec::h1) async fn next<T>(
        &mut self,
        draining: impl Fn() -> bool,
        receive: impl Fn(RequestHead, Body) -> T,
    ) -> Result<Option<T>, Error> {
        if !self.goes_on() {
            self.end().await;
            return Ok(None);
        }
        self.exchange = Exchange::default();
        let mut progress = HeadProgress::default();
        let received = poll_fn(|cx| self.poll_head(cx, &mut progress, &draining, &receive)).await;
        match received {
            Ok(Some(received)) => Ok(Some(received)),
            Ok(None) => {
                self.next = Next::Nothing;
                self.shared.io.say_goodbye();
                Ok(None)
            }
            Err(error) => Err(self.refused_head(error)),
        }
    }

    /// Whether another request may come.
    pub(in crate::codec::h1) fn goes_on(&self) -> bool {
        self.next == Next::Request
    }

    /// What can be told of a request whose head was not taken.
    fn outline(&self) -> Outline {
        head::outline(&self.shared.state().reader.buffer)
    }

    fn refused_head(&mut self, error: Error) -> Error {
        self.refused = true;
        self.next = Next::End;
        let outline = self.outline();
        // Whatever is wrong with a HEAD, its caller waits for an answer without a body.
        self.exchange.is_head = outline.method == Some(Method::HEAD);
        error.of_head(outline)
    }

    fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: &mut HeadProgress,
        draining: &impl Fn() -> bool,
        receive: &impl Fn(RequestHead, Body) -> T,
    ) -> Poll<Result<Option<T>, Error>> {
        let mut state = self.shared.state();
        let state = &mut *state;
        loop {
            let reader = &mut state.reader;
            if progress.pace.is_worthwhile(&reader.buffer) {
                match head::take_request(&mut reader.buffer, self.head_limits) {
                    Ok(Some(head)) => {
                        self.deadline.clear();
                        self.exchange = Exchange::of(&head);
                        let body = state.begin(&head, &self.shared);
                        return Poll::Ready(Ok(Some(receive(head, body))));
                    }
                    Ok(None) => progress.pace.attempted(reader.buffer.len()),
                    Err(error) => return Poll::Ready(Err(error)),
                }
            } else if reader.buffer.len() > self.head_limits.bytes() {
                return Poll::Ready(Err(head::too_large()));
            }
            let started = !reader.buffer.is_empty();
            match reader.poll_fill(&self.shared.io, cx) {
                // What arrived may be malformed, though not worth a look while more could come.
                Poll::Ready(Ok(0)) => {
                    let rest = head::take_request(&mut reader.buffer, self.head_limits);
                    return Poll::Ready(rest.map(|_| None));
                }
                Poll::Ready(Ok(_)) => continue,
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(None)),
                Poll::Pending => {}
            }
            progress.limit(&mut self.deadline, &self.settings, started, draining());
            if !started {
                reader.release();
            }
            ready!(self.deadline.poll_passed(cx));
            return Poll::Ready(if started {
                Err(Error::new(
                    REQUEST_TIMEOUT,
                    "the request head took longer than this listener allows",
                ))
            } else {
                Ok(None)
            });
        }
    }

    /// Where interim answers go.
    pub fn interim(&self) -> Arc<dyn Interim> {
        self.shared.clone()
    }

    /// Completes when the caller is gone. Meanwhile interim answers are written.
    ///
    /// A caller that ends its sending direction counts as gone: to the kernel that looks the same as a closed
    /// connection.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        match &mut state.connection {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if !state.interim.is_empty() && self.out.has_room() {
            let interim = std::mem::take(&mut state.interim);
            self.out.more().extend_from_slice(&interim);
        }
        if !self.out.is_empty()
            && let Poll::Ready(Err(_)) = self.out.poll_flush(&self.shared.io, cx)
        {
            return Poll::Ready(());
        }
        let reader = &mut state.reader;
        while reader.body_done() && reader.buffer.len() < PIPELINED {
            match ready!(reader.poll_fill(&self.shared.io, cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }
}

/// How far the head under way is.
#[derive(Default)]
struct HeadProgress {
    pace: Pace,
    timing: Timing,
}

/// Which limit is running.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Timing {
    #[default]
    Nothing,
    Idle,
    Grace,
    Head,
}

impl HeadProgress {
    fn limit(
        &mut self,
        deadline: &mut Deadline,
        settings: &Settings,
        started: bool,
        draining: bool,
    ) {
        let (timing, limit) = match (started, draining) {
            (true, _) => (Timing::Head, settings.header_timeout),
            (false, true) => (Timing::Grace, settings.idle_timeout.min(DRAIN_GRACE)),
            (false, false) => (Timing::Idle, settings.idle_timeout),
        };
        if self.timing != timing {
            self.timing = timing;
            deadline.set(timer::now() + limit);
        }
    }
}
