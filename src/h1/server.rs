//! The side that callers speak to: one connection, one request after another.
//!
//! The connection and the body of the request under way share the incoming side behind a lock that nobody
//! contends for: both are polled by the connection's task, except where an HTTP/2 upstream reads the body from
//! a task of its own.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::framing::Framing;
use super::head::{self, Limits, RequestHead};
use super::outgoing::Outgoing;
use super::reader::{Fault, Piece, Reader};
use crate::body::Body;
use crate::error::{BAD_REQUEST, CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::headers::Headers;
use crate::io::Io;
use crate::message::{Interim, Response};
use crate::timer::Deadline;

/// Limits of one connection; see `[listeners.NAME]` for their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub head: Limits,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
}

/// How long an idle connection is kept when draining: a request may be on its way.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// How long, and how many bytes, a caller may go on sending a body that nobody wants, before the connection closes.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;
/// A remainder of an unwanted body that is read to keep the connection.
const DISCARDED: u64 = 64 << 10;
/// How long a caller may take none of the answer.
const WRITE_STALL: Duration = Duration::from_secs(300);
/// Bytes of following requests that are taken while one is answered.
const PIPELINED: usize = 64 << 10;
/// Attempts to parse a head that arrives in crumbs, before only its end or doubling is worth another.
const EAGER_PARSES: u32 = 16;

/// A caller's connection.
pub struct Connection {
    shared: Arc<Shared>,
    out: Outgoing,
    settings: Settings,
    deadline: Deadline,
    exchange: Exchange,
}

/// What the request under way says about its answer.
#[derive(Default)]
struct Exchange {
    is_head: bool,
    http_10: bool,
    keep_alive: bool,
    wants_trailers: bool,
}

struct Shared {
    io: Io,
    state: Mutex<State>,
}

struct State {
    reader: Reader,
    /// The caller waits for `100 Continue`.
    awaits_continue: bool,
    /// Interim answers to be written before the final one.
    interim: Vec<u8>,
    /// The final answer has begun, so no interim one may follow.
    answering: bool,
    gap: Deadline,
    body_timeout: Duration,
    /// Wakes the connection's task, for what a body polled elsewhere leaves it to do.
    connection: Option<Waker>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// `early` are bytes that were read to tell the protocol.
    pub fn new(io: Io, early: bytes::BytesMut, settings: Settings) -> Self {
        let state = State {
            reader: Reader::with_buffer(early),
            awaits_continue: false,
            interim: Vec::new(),
            answering: false,
            gap: Deadline::new(),
            body_timeout: settings.body_timeout,
            connection: None,
        };
        Connection {
            shared: Arc::new(Shared {
                io,
                state: Mutex::new(state),
            }),
            out: Outgoing::default(),
            settings,
            deadline: Deadline::new(),
            exchange: Exchange::default(),
        }
    }

    /// The next request; `None` when the connection has ended, by either side.
    ///
    /// `draining` is asked whenever this task is woken.
    ///
    /// # Errors
    /// What is to be answered before closing: `bad_request`, `headers_too_large`, `request_timeout`.
    pub async fn next(
        &mut self,
        draining: impl Fn() -> bool,
    ) -> Result<Option<(RequestHead, Body)>, Error> {
        self.exchange = Exchange::default();
        let mut progress = HeadProgress::default();
        let head = poll_fn(|cx| self.poll_head(cx, &mut progress, &draining)).await?;
        Ok(head.map(|head| {
            let body = self.begin(&head);
            (head, body)
        }))
    }

    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        progress: &mut HeadProgress,
        draining: &impl Fn() -> bool,
    ) -> Poll<Result<Option<RequestHead>, Error>> {
        let mut state = self.shared.state();
        let reader = &mut state.reader;
        loop {
            if progress.worth_parsing(&reader.buffer) {
                if let Some(head) = head::take_request(&mut reader.buffer, self.settings.head)? {
                    self.deadline.clear();
                    return Poll::Ready(Ok(Some(head)));
                }
                progress.parsed(reader.buffer.len());
            } else if reader.buffer.len() > self.settings.head.bytes {
                return Poll::Ready(Err(head::too_large()));
            }
            let started = !reader.buffer.is_empty();
            match reader.poll_fill(&self.shared.io, cx) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => {}
            }
            progress.limit(&mut self.deadline, &self.settings, started, draining());
            if !started {
                reader.release();
            }
            ready!(self.deadline.poll_passed(cx));
            return Poll::Ready(match started {
                true => Err(Error::new(
                    REQUEST_TIMEOUT,
                    "the request head took longer than this listener allows",
                )),
                false => Ok(None),
            });
        }
    }

    fn begin(&mut self, head: &RequestHead) -> Body {
        self.exchange = Exchange {
            is_head: head.method == Method::HEAD,
            http_10: head.version == Version::HTTP_10,
            keep_alive: head.keep_alive,
            wants_trailers: head
                .headers
                .get(&header::TE)
                .is_some_and(|te| te.to_ascii_lowercase().windows(8).any(|w| w == b"trailers")),
        };
        let mut state = self.shared.state();
        state.reader.start_body(head.framing);
        state.awaits_continue = head.expects_continue;
        state.answering = false;
        if let Some(whole) = state.reader.take_whole_body() {
            state.awaits_continue = false;
            return Body::full(whole);
        }
        match head.framing {
            Framing::None | Framing::UntilClose => Body::empty(),
            Framing::Length(_) | Framing::Chunked => Body::stream(RequestBody {
                shared: self.shared.clone(),
            }),
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

    /// Writes an answer; afterwards [`Connection::next`] may be called if this says so.
    ///
    /// # Errors
    /// The caller is gone, or the answer's body failed before its end; the connection must be dropped.
    pub async fn respond(&mut self, response: Response, keep_alive: bool) -> Result<bool, Error> {
        let mut body = response.body;
        let framing = self.put_head(
            response.status,
            &response.headers,
            response.upgrade.is_some().then_some(None),
            body.size_hint(),
            keep_alive,
        );
        let mut ended = framing == Framing::None;
        let sent = poll_fn(|cx| self.poll_send(cx, &mut body, framing, &mut ended)).await;
        if let Err(error) = sent {
            if framing == Framing::UntilClose {
                // Nothing but a reset tells this caller that the body is not whole.
                let _ = socket2::SockRef::from(&self.shared.io).set_linger(Some(Duration::ZERO));
            }
            return Err(error);
        }
        drop(body);
        Ok(self.exchange.keep_alive && self.discard_body().await)
    }

    /// Writes the head that ends HTTP on this connection, a 101 or the answer to CONNECT, and hands out the
    /// socket, with bytes that the caller sent behind its request.
    pub async fn switch(
        mut self,
        status: StatusCode,
        headers: &Headers,
        protocol: Option<&HeaderValue>,
    ) -> Result<(Io, Bytes), Error> {
        self.put_head(
            status,
            headers,
            Some(protocol),
            SizeHint::with_exact(0),
            true,
        );
        poll_fn(|cx| self.out.poll_flush(&self.shared.io, cx))
            .await
            .map_err(gone)?;
        let shared = Arc::into_inner(self.shared)
            .ok_or_else(|| Error::new(CALLER_GONE, "the request's body is still being read"))?;
        let mut state = shared
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok((shared.io, std::mem::take(&mut state.reader.buffer).freeze()))
    }

    /// Ends the connection so that the last answer arrives: closing while the caller still sends would make the
    /// kernel reset the connection, and the caller might lose the answer (RFC 9112, section 9.6).
    pub async fn close(mut self) {
        let all_read = {
            let state = self.shared.state();
            state.reader.body_done() && state.reader.buffer.is_empty()
        };
        if all_read || self.shared.io.shutdown_write().is_err() {
            return;
        }
        let mut left = LINGER_BYTES;
        self.deadline.set(Instant::now() + LINGER_TIME);
        poll_fn(|cx| {
            let mut state = self.shared.state();
            loop {
                left = left.saturating_sub(state.reader.buffer.len());
                state.reader.buffer.clear();
                if left == 0 {
                    return Poll::Ready(());
                }
                match state.reader.poll_fill(&self.shared.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => return self.deadline.poll_passed(cx),
                }
            }
        })
        .await;
    }

    /// `switching`: the answer ends HTTP here, perhaps with the name of the next protocol.
    fn put_head(
        &mut self,
        status: StatusCode,
        headers: &Headers,
        switching: Option<Option<&HeaderValue>>,
        size: SizeHint,
        keep_alive: bool,
    ) -> Framing {
        self.exchange.keep_alive &= keep_alive;
        let bodyless = self.exchange.is_head
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
            || switching.is_some();
        let framing = match size.exact() {
            _ if bodyless => Framing::None,
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None if self.exchange.http_10 => Framing::UntilClose,
            None => Framing::Chunked,
        };
        self.exchange.keep_alive &= framing != Framing::UntilClose;

        let interim = {
            let mut state = self.shared.state();
            state.answering = true;
            std::mem::take(&mut state.interim)
        };
        let out = self.out.start();
        out.extend_from_slice(&interim);
        head::put_status(out, status);
        // What a HEAD or a 304 says of the length is about a body that is not sent.
        let tells_length = bodyless && switching.is_none() && status != StatusCode::NO_CONTENT;
        head::put_fields(out, headers, tells_length);
        match framing {
            Framing::Length(length) => head::put_length(out, length),
            Framing::None if !bodyless => head::put_length(out, 0),
            Framing::Chunked => head::put_field(out, b"transfer-encoding", b"chunked"),
            Framing::None | Framing::UntilClose => {}
        }
        match switching {
            Some(Some(protocol)) => {
                head::put_field(out, b"connection", b"upgrade");
                head::put_field(out, b"upgrade", protocol.as_bytes());
            }
            Some(None) => {}
            None if !self.exchange.keep_alive => head::put_field(out, b"connection", b"close"),
            None if self.exchange.http_10 => head::put_field(out, b"connection", b"keep-alive"),
            None => {}
        }
        out.extend_from_slice(b"\r\n");
        framing
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        framing: Framing,
        ended: &mut bool,
    ) -> Poll<Result<(), Error>> {
        loop {
            while !*ended && self.out.has_room() {
                match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        self.push(frame, framing, ended);
                        // A body that is known to be over here spares the poll that would say so.
                        if !*ended && body.is_end_stream() {
                            self.out.end(framing, None);
                            *ended = true;
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        // What has arrived of the answer goes out before the cut.
                        let _ = self.out.poll_flush(&self.shared.io, cx);
                        return Poll::Ready(Err(error));
                    }
                    Poll::Ready(None) => {
                        self.out.end(framing, None);
                        *ended = true;
                    }
                    Poll::Pending => break,
                }
            }
            if !self.out.is_empty() {
                match self.out.poll_flush(&self.shared.io, cx) {
                    Poll::Ready(flushed) => {
                        flushed.map_err(gone)?;
                        self.deadline.clear();
                        continue;
                    }
                    Poll::Pending => return self.poll_write_stall(cx),
                }
            }
            if *ended {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_gone(cx));
            return Poll::Ready(Err(Error::new(
                CALLER_GONE,
                "the caller closed the connection",
            )));
        }
    }

    fn push(&mut self, frame: Frame<Bytes>, framing: Framing, ended: &mut bool) {
        match frame.into_data() {
            Ok(data) => self.out.push(framing, data),
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                self.out.end(
                    framing,
                    trailers.as_ref().filter(|_| self.exchange.wants_trailers),
                );
                *ended = true;
            }
        }
    }

    fn poll_write_stall(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.deadline.is_set() {
            self.deadline.set(Instant::now() + WRITE_STALL);
        }
        ready!(self.deadline.poll_passed(cx));
        Poll::Ready(Err(Error::new(
            CALLER_GONE,
            "the caller takes nothing of the answer",
        )))
    }

    /// Reads the rest of a body that nobody wants, if it is short; says whether it is all read.
    async fn discard_body(&mut self) -> bool {
        {
            let state = self.shared.state();
            if state.reader.body_done() {
                return true;
            }
            // Whoever waits for a 100 may send its body or not: the bytes that follow could be either.
            if state.awaits_continue
                || state
                    .reader
                    .body_left()
                    .is_some_and(|left| left > DISCARDED)
            {
                return false;
            }
        }
        let mut discarded = 0;
        self.deadline.set(Instant::now() + LINGER_TIME);
        let all_read = poll_fn(|cx| {
            let mut state = self.shared.state();
            while discarded < DISCARDED {
                match state.reader.poll_body(&self.shared.io, cx) {
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Ready(Some(Ok(Piece::Data(data)))) => discarded += data.len() as u64,
                    Poll::Ready(Some(Ok(Piece::Trailers(_)))) => {}
                    Poll::Ready(Some(Err(_))) => return Poll::Ready(false),
                    Poll::Pending => return self.deadline.poll_passed(cx).map(|()| false),
                }
            }
            Poll::Ready(false)
        })
        .await;
        self.deadline.clear();
        all_read
    }
}

/// How far the head under way is, and when it is worth another look.
#[derive(Default)]
struct HeadProgress {
    parses: u32,
    length: usize,
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
    /// A head that comes a byte at a time must not be parsed at every byte: that is quadratic.
    fn worth_parsing(&self, buffer: &[u8]) -> bool {
        if buffer.len() == self.length {
            return false;
        }
        let fresh = &buffer[self.length.saturating_sub(3).min(buffer.len())..];
        self.parses < EAGER_PARSES
            || buffer.len() >= 2 * self.length
            || memchr::memmem::find(fresh, b"\n\r\n").is_some()
            || memchr::memmem::find(fresh, b"\n\n").is_some()
    }

    fn parsed(&mut self, length: usize) {
        self.parses += 1;
        self.length = length;
    }

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
            deadline.set(Instant::now() + limit);
        }
    }
}

impl Interim for Shared {
    fn send(&self, status: StatusCode, headers: &Headers) {
        let mut state = self.state();
        if state.answering {
            return;
        }
        head::put_status(&mut state.interim, status);
        head::put_fields(&mut state.interim, headers, false);
        state.interim.extend_from_slice(b"\r\n");
        if let Some(waker) = &state.connection {
            waker.wake_by_ref();
        }
    }
}

/// The body of a request, read from the connection as it is polled for.
struct RequestBody {
    shared: Arc<Shared>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        let asked = std::mem::take(&mut state.awaits_continue);
        if asked && state.reader.buffer.is_empty() && !state.answering {
            state
                .interim
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            wake(&state.connection);
        }
        let Poll::Ready(piece) = state.reader.poll_body(&self.shared.io, cx) else {
            if !state.gap.is_set() {
                state.gap.set(Instant::now() + state.body_timeout);
            }
            ready!(state.gap.poll_passed(cx));
            return Poll::Ready(Some(Err(Error::new(
                REQUEST_TIMEOUT,
                "the request body stalled for longer than this listener allows",
            ))));
        };
        state.gap.clear();
        if state.reader.body_done() {
            wake(&state.connection);
        }
        Poll::Ready(piece.map(|piece| match piece {
            Ok(Piece::Data(data)) => Ok(Frame::data(data)),
            Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Err(Fault::Malformed(why)) => Err(Error::new(BAD_REQUEST, why)),
            Err(Fault::Cut) => Err(Error::new(
                CALLER_GONE,
                "the caller closed the connection before the end of its body",
            )),
            Err(Fault::Io(error)) => Err(gone(error)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.shared.state().reader.body_done()
    }

    fn size_hint(&self) -> SizeHint {
        match self.shared.state().reader.body_left() {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }
}

fn wake(waker: &Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake_by_ref();
    }
}

fn gone(error: std::io::Error) -> Error {
    Error::new(CALLER_GONE, "the connection to the caller broke").because(error)
}
