//! The side that callers speak to: one task for a connection and all that is under way for its streams.

mod answer;
mod answering;
mod body;
mod ending;
mod request;
mod side;
mod slots;
mod stall;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::Version;

use self::body::RequestBody;
use self::ending::{Ending, Step, linger};
pub(in crate::codec::h2) use self::request::RequestHead;
use self::side::{Callers, Fresh, Server};
use self::slots::Slots;
use self::stall::{Due, Stall};
use super::arriving::Arriving;
use super::frame::{self, Code, Fault, PREFACE};
use super::incoming::Cut;
use super::reading::{Broken, FAR_TOO_LARGE, Reading, UNREADABLE};
use super::settings::Local;
use super::shared::Shared;
use super::stall::WRITE_STALL;
use crate::codec::{Service, Settings};
use crate::http::body::Body;
use crate::http::error::{
    BAD_REQUEST, DEADLINE_EXCEEDED, Error, HEADERS_TOO_LARGE, REQUEST_TIMEOUT,
};
use crate::http::message::{Interim, Outline, Request, Response};
use crate::net::io::Io;
use crate::net::timer::{self, Deadline};

/// What all streams of a connection may send before it is read; above one stream's, or one that is not read stalls
/// its siblings.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Reads and streams that are served in one turn before other tasks get theirs.
const READS_A_TURN: usize = 4;
const STREAMS_A_TURN: usize = 32;
/// While so much waits to be written, nothing is read: a caller must take what it provokes.
const MAX_WAITING: usize = 128 << 10;

const HEAD_TOO_SLOW: Fault = Fault::Connection(
    Code::ENHANCE_YOUR_CALM,
    "a request head took longer than this listener allows",
);
const NO_PREFACE: &str =
    "HTTP/2 is spoken here, and what came does not begin as a connection of it does";

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
) -> io::Result<()> {
    let service = &service;
    let answer = |head: Result<RequestHead, Error>, body, interim| {
        let request = head.map(|head| {
            let mut context = service.context(&head.headers);
            context.interim = Some(interim);
            Box::new(Request {
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
    serve_streams(io, early, settings, draining, answer, unanswered).await
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
) -> io::Result<()>
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
        if let Some(error) = refused_head(*broken).filter(|_| connection.greeted) {
            unanswered(error);
        }
    }
    drop(connection);
    match ended {
        Ok(()) => linger(&io, true).await,
        Err(Ended::Broken(broken)) => {
            linger(&io, false).await;
            return Err(io::Error::other(broken));
        }
        Err(Ended::Io(error)) => return Err(error),
    }
    Ok(())
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
    /// The preface has come.
    greeted: bool,
    /// Frames are left from the last turn.
    more: bool,
    /// The socket may hold more.
    unread: bool,
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

/// Why a connection ended early.
enum Ended {
    Io(io::Error),
    Broken(Broken),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Ended::Io(error)
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Ended::Broken(broken)
    }
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
            more: !early.is_empty(),
            reading: Reading::new(early, settings.max_header_bytes as usize),
            callers: Callers::new(settings.max_concurrent_streams, settings.max_headers),
            settings,
            answer,
            slots: Slots::new(),
            doomed: Vec::new(),
            woken: VecDeque::new(),
            queue: VecDeque::new(),
            starved: Vec::new(),
            greeted: false,
            unread: false,
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
        self.shared.ready.begin(cx);
        if !self.read(cx)? {
            return Poll::Ready(Ok(()));
        }
        self.drop_doomed();
        self.start_fresh();
        self.shared.ready.take(&mut self.woken);
        self.run_woken();
        self.send();
        self.wake_due(cx);
        self.check_head(cx)?;
        self.check_stalled(cx);
        if self.end(cx, draining())? {
            return Poll::Ready(Ok(()));
        }
        if self.has_more() {
            cx.waker().wake_by_ref();
        }
        self.shared.ready.end();
        Poll::Pending
    }

    /// Takes in what has arrived; says no at the end of the stream.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        self.unread = true;
        for _ in 0..READS_A_TURN {
            if !self.more {
                if self.shared.state().out.waiting() > MAX_WAITING {
                    break;
                }
                match self.reading.poll_fill(self.io, cx)? {
                    Poll::Pending => {
                        self.unread = false;
                        break;
                    }
                    Poll::Ready(0) => return Ok(false),
                    Poll::Ready(_) => {}
                }
            }
            self.more = self.greet()?
                && self
                    .reading
                    .handle(&mut self.shared.state(), &mut self.callers)?;
        }
        self.reading.input.release();
        Ok(true)
    }

    fn greet(&mut self) -> Result<bool, Broken> {
        if !self.greeted {
            let rest = self.reading.input.rest();
            if !PREFACE.starts_with(&rest[..rest.len().min(PREFACE.len())]) {
                return Err(Broken(Code::PROTOCOL_ERROR, NO_PREFACE));
            }
            if rest.len() < PREFACE.len() {
                return Ok(false);
            }
            self.reading.input.skip(PREFACE.len());
            self.greeted = true;
        }
        Ok(true)
    }

    /// Drops what is under way for streams that are gone.
    fn drop_doomed(&mut self) {
        std::mem::swap(&mut self.doomed, &mut self.shared.state().doomed);
        for key in self.doomed.drain(..) {
            if let Some(slot) = self.slots.get(key) {
                slot.clear();
            }
        }
    }

    fn start_fresh(&mut self) {
        let mut all = std::mem::take(&mut self.callers.fresh);
        for fresh in all.drain(..) {
            self.start(fresh);
        }
        self.callers.fresh = all;
    }

    fn start(&mut self, fresh: Fresh) {
        let Fresh {
            key,
            id,
            ends,
            read,
        } = fresh;
        let whole = {
            let mut state = self.shared.state();
            if state.get(key, id).is_none() {
                // Reset before it was looked at.
                return;
            }
            state.take_whole(key)
        };
        let body = match whole {
            Some(whole) if ends || !whole.is_empty() => Body::full(whole),
            // An end that comes behind the head goes on as such, though nothing lies between them: to servers of gRPC
            // a head that ends its stream is no call ("Requests" in gRPC over HTTP/2).
            here => {
                let limit = (!read.is_grpc).then_some(self.settings.body_timeout);
                let length = here.map_or(read.length, |_| Some(0));
                let arriving = Arriving::new(key, id, length);
                Body::stream(RequestBody::new(&self.shared, arriving, limit))
            }
        };
        let (slot, way) = self.slots.begin(&self.shared, key, id);
        slot.to_head = read.is_head;
        slot.answer((self.answer)(read.head, body, way));
        self.woken.push_back(key);
    }

    /// Wakes the slots whose time has come.
    fn wake_due(&mut self, cx: &mut Context<'_>) {
        if self.due.alarm.poll_passed(cx).is_pending() {
            return;
        }
        let now = timer::now();
        for (key, slot) in self.slots.iter_mut() {
            match slot.wake_by {
                Some(at) if at <= now => self.woken.push_back(key),
                Some(at) => self.due.expect(at),
                None => {}
            }
        }
        let _armed = self.due.alarm.poll_passed(cx);
    }

    /// Whether another turn would find something to do.
    fn has_more(&self) -> bool {
        if self.more || !self.woken.is_empty() {
            return true;
        }
        if !self.unread && self.queue.is_empty() {
            return false;
        }
        let state = self.shared.state();
        self.unread && state.out.waiting() <= MAX_WAITING
            || !self.queue.is_empty() && state.out.has_room()
    }

    fn check_head(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if self.greeted && !self.reading.awaits_head() {
            self.head_by.clear();
            return Ok(());
        }
        if !self.head_by.is_set() {
            self.head_by
                .set(timer::now() + self.settings.header_timeout);
        }
        match self.head_by.poll_passed(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(Broken(Code::ENHANCE_YOUR_CALM, HEAD_TOO_SLOW.why())),
        }
    }

    /// Cuts answers of which the caller has taken nothing for too long, or whose time is over.
    fn check_stalled(&mut self, cx: &mut Context<'_>) {
        if self.stall.streams.alarm.poll_passed(cx).is_pending() {
            return;
        }
        let now = timer::now();
        let mut over = Vec::new();
        for (key, slot) in self.slots.iter_mut() {
            let Some(since) = slot.sending.as_ref().and_then(|sending| sending.blocked) else {
                continue;
            };
            let too_late = slot.deadline.is_some_and(|deadline| deadline <= now);
            if too_late && let Some(sending) = slot.sending.take() {
                sending.fail(&Error::new(
                    DEADLINE_EXCEEDED,
                    "the caller did not take the answer in time",
                ));
            }
            if too_late || since + WRITE_STALL <= now {
                over.push(key);
            } else {
                self.stall.expect(since, slot.deadline);
            }
        }
        for key in over {
            self.cut(key, Code::CANCEL);
        }
    }

    /// Writes what is gathered, and looks whether the connection is at its end.
    fn end(&mut self, cx: &mut Context<'_>, draining: bool) -> Result<bool, Ended> {
        let mut state = self.shared.state();
        let step = self.ending.poll(
            cx,
            state.has_streams(),
            draining,
            self.callers.ponged,
            self.settings.idle_timeout,
        );
        match step {
            Step::None | Step::Leave => {}
            Step::Trim => {
                state.trim();
                self.slots.trim();
            }
            Step::Warn => {
                frame::put_goaway(state.out.buffer(), frame::MAX_31, Code::NO_ERROR);
                frame::put(state.out.buffer(), frame::PING, 0, 0, &[0; 8]);
            }
            Step::Tell => {
                self.callers.told_to_go = true;
                frame::put_goaway(state.out.buffer(), self.callers.last, Code::NO_ERROR);
                // Unless streams are left, this was the last step.
                cx.waker().wake_by_ref();
            }
        }
        state.put_window_updates();
        if state.out.is_empty() || state.out.poll_flush(self.io, cx)?.is_ready() {
            self.stall.socket.flushed();
            return Ok(step == Step::Leave);
        }
        let taken = state.out.total();
        Ok(self.stall.socket.poll(cx, taken).is_ready())
    }

    /// Says why the connection ends, as far as the kernel takes it.
    fn put_goaway(&mut self, Broken(code, why): Broken) {
        let mut state = self.shared.state();
        frame::put_goaway_because(state.out.buffer(), self.callers.last, code, why);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _as_far_as_it_goes = state.out.poll_flush(self.io, &mut cx);
    }
}

impl<F, A> Drop for Connection<'_, F, A> {
    fn drop(&mut self) {
        self.shared.state().end(|_| Cut::Lost);
    }
}

#[cfg(test)]
mod tests;
