//! The side that callers speak to: one task for a connection and all that is under way for its streams.

mod answer;
mod answering;
mod body;
mod ending;
mod limits;
mod request;
mod side;
mod slots;
mod stall;
mod starting;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::Version;

use self::ending::{Ending, linger};
pub(in crate::codec::h2) use self::request::RequestHead;
use self::side::{Callers, Server};
use self::slots::Slots;
use self::stall::{Due, Stall};
use super::ended::{Broken, Ended};
use super::frame::{Code, Fault};
use super::incoming::Cut;
use super::reading::{Arrived, FAR_TOO_LARGE, Reading, UNREADABLE};
use super::ready::{Ready, Turn};
use super::settings::Local;
use super::shared::Shared;
use crate::codec::service::gone;
use crate::codec::{Service, Settings};
use crate::http::body::Body;
use crate::http::boxed::boxed;
use crate::http::error::{BAD_REQUEST, Error, HEADERS_TOO_LARGE, REQUEST_TIMEOUT};
use crate::http::message::{Interim, Outline, Request, Response};
use crate::net::io::Io;
use crate::net::timer::Deadline;

/// What all streams of a connection may send before it is read; above one stream's, or one that is not read stalls
/// its siblings.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams that are served in one turn before other tasks get theirs.
const STREAMS_A_TURN: usize = 32;
/// While so much waits to be written, nothing is read: a caller must take what it provokes.
const MAX_WAITING: usize = 128 << 10;

const HEAD_TOO_SLOW: Fault = Fault::Connection(
    Code::ENHANCE_YOUR_CALM,
    "a request head took longer than this listener allows",
);
/// Serves a connection to its end. Once `draining` says yes, the caller is told with GOAWAY, and what is under way
/// finishes.
///
/// # Errors
/// What broke the connection.
pub async fn serve(
    io: Io,
    early: BytesMut,
    settings: Settings,
    draining: impl Fn() -> bool,
    service: impl Service,
) -> Result<(), Error> {
    let service = &service;
    let answer = |head: Result<RequestHead, Error>, body, interim| {
        let request = head.map(|head| {
            let mut context = service.context(&head.headers);
            context.interim = Some(interim);
            boxed(|| Request {
                method: head.method,
                authority: head.authority,
                target: head.target,
                version: Version::HTTP_2,
                headers: head.headers,
                body,
                upgrade: None,
                context,
            })
        });
        async move {
            match request {
                Ok(request) => service.answer(request).await,
                Err(error) => service.refuse(error),
            }
        }
    };
    let unanswered = |error| service.refuse_silently(error);
    let served = serve_streams(io, early, settings, draining, answer, unanswered).await;
    served.map_err(|ended| match ended {
        Ended::Io(error) => gone(error),
        Ended::Broken(Broken(_, why)) => Error::new(BAD_REQUEST, why),
    })
}

/// The same, where `answer` takes what a head was read as, and `unanswered` why it was refused if the standard lets
/// nobody answer it.
pub(in crate::codec::h2) async fn serve_streams<F, A>(
    io: Io,
    early: BytesMut,
    settings: Settings,
    draining: impl Fn() -> bool,
    answer: F,
    unanswered: impl Fn(Error),
) -> Result<(), Ended>
where
    F: Fn(Result<RequestHead, Error>, Body, Arc<dyn Interim>) -> A,
    A: Future<Output = Box<Response>>,
{
    let mut connection = Connection::new(&io, early, settings, answer);
    let ended = poll_fn(|cx| {
        let polled = connection.poll(cx, &draining);
        if !connection.callers.malformed.is_empty() {
            connection.callers.malformed.drain(..).for_each(&unanswered);
        }
        polled
    })
    .await;
    if let Err(Ended::Broken(broken)) = &ended {
        connection.put_goaway(*broken);
        if let Some(error) = refused_head(*broken).filter(|_| connection.callers.greeted) {
            unanswered(error);
        }
    }
    drop(connection);
    // A socket that failed takes nothing more.
    if !matches!(ended, Err(Ended::Io(_))) {
        linger(&io, ended.is_ok()).await;
    }
    ended
}

struct Connection<'io, F, A> {
    io: &'io Io,
    shared: Arc<Shared<Server>>,
    reading: Reading,
    callers: Callers,
    settings: Settings,
    answer: F,
    slots: Slots<A>,
    /// Slots of streams that are gone.
    doomed: Vec<u32>,
    /// Slots that were woken.
    woken: VecDeque<u32>,
    /// Slots that have something to send, in turn.
    queue: VecDeque<u32>,
    /// Slots that wait for the connection's window.
    starved: Vec<u32>,
    /// A head that has begun must end by then.
    head_by: Deadline,
    /// When a slot must be polled though nobody wakes it.
    due: Due,
    stall: Stall,
    ending: Ending,
}

/// Why a head was refused, if it is that which broke the connection.
fn refused_head(Broken(code, why): Broken) -> Option<Error> {
    let reason = match Fault::Connection(code, why) {
        HEAD_TOO_SLOW => REQUEST_TIMEOUT,
        FAR_TOO_LARGE => HEADERS_TOO_LARGE,
        UNREADABLE => BAD_REQUEST,
        _ => return None,
    };
    let outline = Outline {
        version: Some(Version::HTTP_2),
        ..Outline::default()
    };
    Some(Error::new(reason, why).of_head(outline))
}

impl<'io, F, A> Connection<'io, F, A>
where
    F: Fn(Result<RequestHead, Error>, Body, Arc<dyn Interim>) -> A,
    A: Future<Output = Box<Response>>,
{
    fn new(io: &'io Io, early: BytesMut, settings: Settings, answer: F) -> Self {
        let local = Local {
            max_concurrent_streams: Some(settings.max_concurrent_streams),
            initial_window: super::STREAM_WINDOW,
            max_header_list: settings.max_header_bytes,
            connection_window: CONNECTION_WINDOW,
        };
        Connection {
            io,
            shared: Arc::new(Shared::new(&local)),
            reading: Reading::new(early, settings.max_header_bytes as usize, MAX_WAITING),
            callers: Callers::new(settings.max_concurrent_streams, settings.max_headers),
            settings,
            answer,
            slots: Slots::new(),
            doomed: Vec::new(),
            woken: VecDeque::new(),
            queue: VecDeque::new(),
            starved: Vec::new(),
            head_by: Deadline::new(),
            due: Due::default(),
            stall: Stall::default(),
            ending: Ending::new(),
        }
    }

    /// One turn. Completes when the connection is at its end, all but closed.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        draining: &impl Fn() -> bool,
    ) -> Poll<Result<(), Ended>> {
        Ready::run(
            self,
            |connection| &connection.shared.ready,
            cx,
            |connection, cx, turn| connection.turn(cx, turn, draining),
        )
    }

    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        turn: &Turn,
        draining: &impl Fn() -> bool,
    ) -> Poll<Result<(), Ended>> {
        let callers = &mut self.callers;
        if self.reading.read(cx, self.io, &self.shared, callers)? == Arrived::End {
            return Poll::Ready(Ok(()));
        }
        self.drop_doomed();
        self.start_fresh();
        self.shared.ready.take(turn, &mut self.woken);
        self.run_woken();
        self.send();
        self.wake_due(cx);
        self.check_head(cx)?;
        self.check_stalled(cx);
        if self.end(cx, draining())? {
            return Poll::Ready(Ok(()));
        }
        let has_more =
            !self.woken.is_empty() || self.reading.has_more(&self.shared, !self.queue.is_empty());
        if has_more {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<F, A> Drop for Connection<'_, F, A> {
    fn drop(&mut self) {
        self.shared.state().end(|_| Cut::Lost);
    }
}

#[cfg(test)]
mod tests;
