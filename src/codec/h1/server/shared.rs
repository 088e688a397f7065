//! What a connection and the body of its request share, behind a lock that nobody contends for: both are polled by
//! the connection's task, except where an HTTP/2 upstream reads the body from a task of its own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use http_body::{Frame, SizeHint};

use crate::codec::h1::framing::Framing;
use crate::codec::h1::head::{self, RequestHead};
use crate::codec::h1::reader::{Fault, Reader};
use crate::codec::service::gone;
use crate::http::body::{Body, Splice};
use crate::http::error::{BAD_REQUEST, CALLER_GONE, Error, REQUEST_TIMEOUT};
use crate::http::headers::Headers;
use crate::http::message::Interim;
use crate::net::io::Io;
use crate::net::pipe::Pipe;
use crate::net::timer::{self, Deadline};

/// Bytes of interim answers that wait for a caller to take them; more are dropped, as they are hints only.
const MAX_INTERIM: usize = 16 << 10;

pub(super) struct Shared {
    pub io: Io,
    state: Mutex<State>,
}

pub(super) struct State {
    pub reader: Reader,
    /// The caller waits for `100 Continue`.
    pub awaits_continue: bool,
    /// Interim answers to be written before the final one.
    pub interim: Vec<u8>,
    /// No interim answer may be sent: the final one has begun, or the caller could not read it.
    pub interim_over: bool,
    /// The final answer has begun. From then on `idle_timeout` of the route says how long a caller may pause: whoever
    /// listens to an answer need not send.
    pub answered: bool,
    /// Wakes the connection's task, for what a body polled elsewhere leaves it to do.
    pub connection: Option<Waker>,
    /// Number of the body that may read. A body that was disowned reads nothing more.
    reading: u64,
    /// Wakes whoever reads the body.
    body: Option<Waker>,
    gap: Deadline,
    body_timeout: Duration,
    /// The body cannot be read to its end, so nobody knows where a next request would begin.
    pub body_failed: bool,
}

impl Shared {
    pub fn new(io: Io, early: BytesMut, body_timeout: Duration) -> Self {
        Shared {
            io,
            state: Mutex::new(State {
                reader: Reader::with_buffer(early),
                awaits_continue: false,
                interim: Vec::new(),
                interim_over: false,
                answered: false,
                connection: None,
                reading: 0,
                body: None,
                gap: Deadline::new(),
                body_timeout,
                body_failed: false,
            }),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A request has begun; what was left of the one before it is over. Its body reads from `shared`, whose state
    /// this is.
    pub fn begin(&mut self, head: &RequestHead, shared: &Arc<Shared>) -> Body {
        self.disown_body();
        self.reader.start_body(head.framing);
        self.awaits_continue = head.expects_continue;
        // RFC 9110 section 15.2: an HTTP/1.0 caller cannot read interim answers.
        self.interim_over = head.version == Version::HTTP_10;
        self.answered = false;
        self.interim.clear();
        self.gap.clear();
        self.body_failed = false;
        if let Some(whole) = self.reader.take_whole_body() {
            self.awaits_continue = false;
            return Body::full(whole);
        }
        match head.framing {
            Framing::None | Framing::UntilClose => Body::empty(),
            Framing::Length(_) | Framing::Chunked => Body::splicing(RequestBody::new(shared, self)),
        }
    }

    /// Nothing is read here any more, whoever still holds the request's body or its way of interim answers: what comes
    /// belongs to another protocol, and is handed out as far as it is here. `None` if that would be the rest of a body.
    pub fn end_reading(&mut self) -> Option<Bytes> {
        if !self.reader.body_done() {
            return None;
        }
        self.disown_body();
        self.awaits_continue = false;
        Some(std::mem::take(&mut self.reader.buffer).freeze())
    }

    /// The incoming side belongs to the connection alone from here on. Two readers would each get a part.
    pub fn disown_body(&mut self) {
        self.reading += 1;
        if let Some(waker) = self.body.take() {
            waker.wake();
        }
    }
}

impl Interim for Shared {
    fn send(&self, status: StatusCode, headers: &Headers) {
        let mut state = self.state();
        if state.interim_over || state.interim.len() >= MAX_INTERIM {
            return;
        }
        head::put_status(&mut state.interim, status);
        head::put_fields(&mut state.interim, headers, false);
        state.interim.extend_from_slice(b"\r\n");
        wake(&state.connection);
    }

    fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut guard = self.state();
        let state = &mut *guard;
        if !state.awaits_continue || !state.reader.buffer.is_empty() {
            return Poll::Ready(());
        }
        // If the caller is gone, whoever reads the body learns it.
        state.reader.poll_fill(&self.io, cx).map(|_| ())
    }
}

/// The body of a request, read from the connection as it is polled for.
struct RequestBody {
    shared: Arc<Shared>,
    number: u64,
    ended: bool,
}

impl RequestBody {
    /// The body of the request that has just begun.
    fn new(shared: &Arc<Shared>, state: &State) -> Self {
        RequestBody {
            shared: shared.clone(),
            number: state.reading,
            ended: false,
        }
    }

    /// Takes some of the body by `poll`, as long as there is any.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Reader, &Io, &mut Context<'_>) -> Poll<Option<Result<T, Fault>>>,
    ) -> Poll<Option<Result<T, Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut guard = self.shared.state();
        let state = &mut *guard;
        if state.reading != self.number {
            return Poll::Ready(Some(Err(Error::new(
                CALLER_GONE,
                "the answer was complete before the request",
            ))));
        }
        let asked = std::mem::take(&mut state.awaits_continue);
        if asked && state.reader.buffer.is_empty() && !state.interim_over {
            state
                .interim
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            wake(&state.connection);
        }
        let Poll::Ready(taken) = poll(&mut state.reader, &self.shared.io, cx) else {
            match &mut state.body {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            if !state.gap.is_set() {
                state.gap.set(timer::now() + state.body_timeout);
            }
            ready!(state.gap.poll_passed(cx));
            // Looked at only now, so that nobody has to be woken when an answer begins.
            if state.answered {
                return Poll::Pending;
            }
            state.body_failed = true;
            return Poll::Ready(Some(Err(Error::new(
                REQUEST_TIMEOUT,
                "the request body stalled for longer than this listener allows",
            ))));
        };
        state.gap.clear();
        state.body_failed = matches!(taken, Some(Err(_)));
        if state.reader.body_done() {
            self.ended = true;
            state.body = None;
            wake(&state.connection);
        }
        Poll::Ready(taken.map(|taken| taken.map_err(broken)))
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.get_mut()
            .poll_read(cx, |reader, io, cx| reader.poll_body(io, cx))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended {
            return SizeHint::with_exact(0);
        }
        let state = self.shared.state();
        match state.reader.body_left() {
            Some(left) if state.reading == self.number => SizeHint::with_exact(left),
            _ => SizeHint::new(),
        }
    }
}

impl Splice for RequestBody {
    fn can_splice(self: Pin<&mut Self>) -> bool {
        let state = self.shared.state();
        let reads = state.reading == self.number;
        reads && state.reader.can_splice(&self.shared.io)
    }

    fn poll_splice(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<Option<u64>, Error>> {
        let polled = self
            .get_mut()
            .poll_read(cx, |reader, io, cx| reader.poll_splice(io, cx, pipe));
        polled.map(Option::transpose)
    }
}

fn broken(fault: Fault) -> Error {
    match fault {
        Fault::Malformed(why) => Error::new(BAD_REQUEST, why),
        Fault::Cut => Error::new(
            CALLER_GONE,
            "the caller closed the connection before the end of its body",
        ),
        Fault::Io(error) => gone(error),
    }
}

fn wake(waker: &Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake_by_ref();
    }
}
