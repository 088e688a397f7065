//! The side that speaks to upstreams: one exchange at a time on one connection.
//!
//! There is no task beside the request's own: the response body reads the upstream's socket when it is polled,
//! and at its end gives the connection back to whoever lent it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::Instant;

use super::framing::Framing;
use super::head::{self, Limits, ResponseHead};
use super::outgoing::Outgoing;
use super::reader::{Fault, Piece, Reader};
use crate::body::Body;
use crate::error::{Error, Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET};
use crate::io::Io;
use crate::message::{Request, Response, Upgraded};
use crate::timer::Deadline;

/// Bounds of a response head.
const HEAD: Limits = Limits {
    bytes: 256 << 10,
    fields: 256,
};
/// How long the body waits for the upstream's `100 Continue` (RFC 9110, section 10.1.1: not for ever).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// A connection to an upstream.
pub struct Connection {
    io: Io,
    reader: Reader,
    out: Outgoing,
}

/// Whoever lends a connection for one exchange; dropping the loan closes it.
pub trait Loan: Send + Sync + Unpin + 'static {
    fn connection(&mut self) -> &mut Connection;
    /// The exchange is over and the connection can take another.
    fn give_back(self);
    /// The connection speaks another protocol from here on.
    fn into_connection(self) -> Connection;
}

impl Connection {
    pub fn new(io: Io) -> Self {
        Connection {
            io,
            reader: Reader::new(),
            out: Outgoing::default(),
        }
    }

    /// Whether the upstream has neither closed this idle connection nor sent anything, as far as the event loop
    /// has heard; `thorough` asks the kernel, for a request that must not be sent twice.
    pub fn is_quiet(&self, thorough: bool) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        if !thorough && self.io.poll_read_ready(&mut context).is_pending() {
            return true;
        }
        let mut byte = [std::mem::MaybeUninit::uninit()];
        matches!(
            socket2::SockRef::from(&self.io).peek(&mut byte),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock
        )
    }
}

/// Sends a request over a lent connection; the answer's body owns the loan to its end.
///
/// On failure `request` still has its body if none of it was taken, and the error's progress tells whether a
/// byte went out.
pub async fn exchange<L: Loan>(mut loan: L, request: &mut Request) -> Result<Response, Error> {
    let framing = put_head(&mut loan, request);
    let mut sending = Sending {
        body: match framing {
            Framing::None => None,
            _ => Some(std::mem::replace(&mut request.body, Body::empty())),
        },
        framing,
        taken: Taken::Nothing,
        waits: Deadline::new(),
        done: framing == Framing::None,
        failed: None,
    };
    if awaits_continue(request) && !sending.done {
        sending.waits.set(Instant::now() + CONTINUE_WAIT);
    }
    let outcome = poll_fn(|cx| poll_answer(cx, loan.connection(), &mut sending, request)).await;
    match outcome {
        Ok(head) => Ok(answer(loan, sending, head, request)),
        Err(error) => {
            let unsent = loan.connection().out.total() == 0;
            sending.give_back(request);
            Err(match (unsent, error.progress()) {
                (true, Progress::Sent) => error.at(Progress::Unsent),
                _ => error,
            })
        }
    }
}

fn put_head<L: Loan>(loan: &mut L, request: &Request) -> Framing {
    let size = request.body.size_hint();
    let framing = match size.exact() {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    let out = loan.connection().out.start();
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    match (&request.method, &request.authority) {
        (&Method::CONNECT, Some(authority)) => out.extend_from_slice(authority.as_str().as_bytes()),
        _ => out.extend_from_slice(request.target.as_str().as_bytes()),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if !request.headers.contains(&header::HOST) {
        let host = request.authority.as_ref().map_or("", |a| a.as_str());
        head::put_field(out, b"host", host.as_bytes());
    }
    head::put_fields(out, &request.headers, false);
    match framing {
        Framing::Length(length) => head::put_length(out, length),
        Framing::Chunked => head::put_field(out, b"transfer-encoding", b"chunked"),
        // A method that usually has content says that there is none (RFC 9110, section 8.6).
        _ if matches!(request.method, Method::POST | Method::PUT | Method::PATCH) => {
            head::put_length(out, 0);
        }
        _ => {}
    }
    if let Some(protocol) = &request.upgrade {
        head::put_field(out, b"connection", b"upgrade");
        head::put_field(out, b"upgrade", protocol.as_bytes());
    } else if request.headers.contains(&header::TE) {
        head::put_field(out, b"connection", b"te");
    }
    out.extend_from_slice(b"\r\n");
    framing
}

fn awaits_continue(request: &Request) -> bool {
    let expect = request.headers.get(&header::EXPECT);
    expect.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// The request's way out.
struct Sending {
    body: Option<Body>,
    framing: Framing,
    taken: Taken,
    /// Set while the body waits for `100 Continue`.
    waits: Deadline,
    done: bool,
    /// The upstream takes no more; its answer may be there all the same.
    failed: Option<std::io::Error>,
}

/// What was taken from the request's body, as long as that can be undone.
enum Taken {
    Nothing,
    /// The first piece: while no byte is written the body can be made whole again.
    First(Bytes),
    More,
}

impl Sending {
    /// Hands on what the request's body has ready. Completes when all of it is written, or cannot be.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<Result<(), Error>> {
        while self.failed.is_none() {
            if !self.waits.is_set() || self.waits.poll_passed(cx).is_ready() {
                self.gather(cx, &mut connection.out)?;
            }
            if connection.out.is_empty() {
                return if self.done {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                };
            }
            match ready!(connection.out.poll_flush(&connection.io, cx)) {
                Ok(()) => {}
                Err(error) => self.failed = Some(error),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn gather(&mut self, cx: &mut Context<'_>, out: &mut Outgoing) -> Result<(), Error> {
        while !self.done && out.has_room() {
            let Some(body) = &mut self.body else {
                self.done = true;
                return Ok(());
            };
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                return Ok(());
            };
            match frame.transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => {
                    self.taken = match self.taken {
                        Taken::Nothing => Taken::First(data.clone()),
                        Taken::First(_) | Taken::More => Taken::More,
                    };
                    out.push(self.framing, data);
                    if body.is_end_stream() {
                        out.end(self.framing, None);
                        self.done = true;
                    }
                }
                Some(Err(frame)) => {
                    out.end(self.framing, frame.into_trailers().ok().as_ref());
                    self.done = true;
                }
                None => {
                    out.end(self.framing, None);
                    self.done = true;
                }
            }
        }
        Ok(())
    }

    /// Puts the body back where it came from, if it is still whole.
    fn give_back(self, request: &mut Request) {
        match (self.body, self.taken) {
            (Some(body), Taken::Nothing) => request.body = body,
            (Some(rest), Taken::First(first)) => {
                request.body = Body::stream(Prefixed {
                    first: Some(first),
                    rest,
                });
            }
            _ => {}
        }
    }

    fn is_over(&self) -> bool {
        self.done && self.failed.is_none()
    }
}

fn poll_answer(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    sending: &mut Sending,
    request: &Request,
) -> Poll<Result<ResponseHead, Error>> {
    loop {
        // A failure to send is not the end: an upstream that refuses a body answers before it closes.
        let _ = sending.poll_send(cx, connection)?;
        let reader = &mut connection.reader;
        if !reader.buffer.is_empty() {
            match head::take_response(&mut reader.buffer, HEAD, &request.method)? {
                Some(head) if is_final(&head, request)? => return Poll::Ready(Ok(head)),
                Some(interim) => {
                    if interim.status == StatusCode::CONTINUE {
                        sending.waits.clear();
                    } else if let Some(way) = &request.context.interim {
                        way.send(interim.status, &interim.headers);
                    }
                    continue;
                }
                None => {}
            }
        }
        let started = !reader.buffer.is_empty();
        let cause = match ready!(reader.poll_fill(&connection.io, cx)) {
            Ok(0) => sending.failed.take(),
            Ok(_) => continue,
            Err(error) => Some(error),
        };
        let error = Error::new(
            UPSTREAM_RESET,
            "the upstream closed the connection before it answered",
        )
        .at(if started {
            Progress::Answering
        } else {
            Progress::Sent
        });
        return Poll::Ready(Err(match cause {
            Some(cause) => error.because(cause),
            None => error,
        }));
    }
}

/// Whether no other head follows. A 101 is final, and must have been asked for.
fn is_final(head: &ResponseHead, request: &Request) -> Result<bool, Error> {
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS if request.upgrade.is_some() => Ok(true),
        StatusCode::SWITCHING_PROTOCOLS => Err(Error::new(
            UPSTREAM_PROTOCOL_ERROR,
            "the upstream switched protocols without being asked",
        )
        .at(Progress::Answering)),
        status => Ok(!status.is_informational()),
    }
}

fn answer<L: Loan>(
    mut loan: L,
    sending: Sending,
    head: ResponseHead,
    request: &Request,
) -> Response {
    let mut response = Response {
        status: head.status,
        version: head.version,
        headers: head.headers,
        body: Body::empty(),
        upgrade: None,
        served_by: None,
        refused: None,
    };
    let tunnel = request.method == Method::CONNECT && head.status.is_success();
    if head.status == StatusCode::SWITCHING_PROTOCOLS || tunnel {
        let mut connection = loan.into_connection();
        response.upgrade = Some(Upgraded {
            early: std::mem::take(&mut connection.reader.buffer).freeze(),
            io: connection.io,
            protocol: head.upgrade,
            idle_limit: None,
        });
        return response;
    }
    let reader = &mut loan.connection().reader;
    reader.start_body(head.framing);
    let over = sending.is_over();
    let whole = match head.framing {
        Framing::None => Some(Bytes::new()),
        _ if over => reader.take_whole_body(),
        _ => None,
    };
    match whole {
        Some(whole) => {
            // Bytes behind the answer belong to no request.
            let clean = reader.buffer.is_empty();
            reader.release();
            if over && head.keep_alive && clean {
                loan.give_back();
            }
            response.body = Body::full(whole);
        }
        None => {
            let left = reader.body_left();
            response.body = Body::stream(ResponseBody {
                loan: Some(loan),
                sending: (!over).then_some(sending),
                keep_alive: head.keep_alive,
                left,
            });
        }
    }
    response
}

/// The body of an answer, read from the upstream's connection as it is polled for.
struct ResponseBody<L: Loan> {
    loan: Option<L>,
    /// The request's body, while it is still on its way.
    sending: Option<Sending>,
    keep_alive: bool,
    /// Bytes still to come, when the head told.
    left: Option<u64>,
}

impl<L: Loan> ResponseBody<L> {
    fn finish(&mut self) {
        if let Some(mut loan) = self.loan.take() {
            let reader = &mut loan.connection().reader;
            let clean = reader.buffer.is_empty();
            reader.release();
            if self.keep_alive && self.sending.is_none() && clean {
                loan.give_back();
            }
        }
    }
}

impl<L: Loan> http_body::Body for ResponseBody<L> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Some(loan) = &mut this.loan else {
            return Poll::Ready(None);
        };
        let connection = loan.connection();
        if let Some(sending) = &mut this.sending
            && let Poll::Ready(sent) = sending.poll_send(cx, connection)
        {
            sent?;
            if sending.is_over() {
                this.sending = None;
            }
        }
        let piece = ready!(connection.reader.poll_body(&connection.io, cx));
        this.left = this.left.and(connection.reader.body_left());
        if connection.reader.body_done() {
            this.finish();
        }
        Poll::Ready(piece.map(|piece| match piece {
            Ok(Piece::Data(data)) => Ok(Frame::data(data)),
            Ok(Piece::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Err(fault) => {
                this.loan = None;
                Err(broken(fault))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.loan.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::new(),
        }
    }
}

fn broken(fault: Fault) -> Error {
    match fault {
        Fault::Malformed(why) => Error::new(UPSTREAM_PROTOCOL_ERROR, why),
        Fault::Cut => Error::new(
            UPSTREAM_RESET,
            "the upstream closed the connection in the middle of its answer",
        ),
        Fault::Io(error) => Error::new(
            UPSTREAM_RESET,
            "the connection to the upstream broke in the middle of its answer",
        )
        .because(error),
    }
    .at(Progress::Answering)
}

/// A body whose first piece was taken and put back.
struct Prefixed {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint.set_lower(rest.lower() + first);
        hint
    }
}
