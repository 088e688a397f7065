//! The upstream's answer: its head made into a response, and its body read as it is polled for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};

use super::connection::Loan;
use super::sending::Sending;
use crate::codec::h1::framing::Framing;
use crate::codec::h1::head::ResponseHead;
use crate::codec::h1::reader::{Fault, Reader};
use crate::http::body::{Body, Splice};
use crate::http::boxed::boxed;
use crate::http::error::{Error, Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET};
use crate::http::headers::{Headers, Name, Names};
use crate::http::message::{Request, Response, Upgraded};
use crate::http::semantics::tunnel;
use crate::net::io::Io;
use crate::net::pipe::Pipe;

/// What the upstream answered, but for the body.
pub(super) struct AnswerHead {
    response: Box<Response>,
    framing: Framing,
    keep_alive: bool,
    /// The protocol of `Upgrade`.
    protocol: Option<HeaderValue>,
}

impl AnswerHead {
    /// A head is large, so it is put where it is to stay as soon as it is there.
    pub fn new(head: ResponseHead) -> Self {
        AnswerHead {
            response: boxed(|| Response {
                status: head.status,
                version: head.version,
                headers: head.headers,
                body: Body::empty(),
                upgrade: None,
                served_by: None,
                refused: None,
                deadline: None,
            }),
            framing: head.framing,
            keep_alive: head.keep_alive,
            protocol: head.upgrade,
        }
    }

    /// Whether raw bytes follow.
    pub fn switches(&self, request: &Request) -> bool {
        let status = self.response.status;
        status == StatusCode::SWITCHING_PROTOCOLS || tunnel::is_opened(&request.method, status)
    }
}

/// Makes the response whole; its body owns the loan to its end.
///
/// # Errors
/// `upstream_protocol_error`: the upstream switched protocols before it had read the request.
pub(super) fn answer<L: Loan>(
    mut loan: L,
    mut sending: Sending,
    head: AnswerHead,
    request: &Request,
) -> Result<Box<Response>, Error> {
    let switches = head.switches(request);
    let AnswerHead {
        mut response,
        framing,
        mut keep_alive,
        protocol,
    } = head;
    let kept_for = if response.headers.may_have(&KEEP_ALIVE) {
        kept_for(&response.headers)
    } else {
        None
    };
    keep_alive &= kept_for != Some(Duration::ZERO);
    loan.connection().kept_for = kept_for;
    sending.answered(response.status.is_success());
    let over = sending.is_over(&loan.connection().out);
    if switches {
        if !over {
            return Err(Error::new(
                UPSTREAM_PROTOCOL_ERROR,
                "the upstream switched protocols before it had read the request",
            )
            .at(Progress::Answering));
        }
        let mut connection = loan.into_connection();
        response.upgrade = Some(Box::new(Upgraded {
            early: std::mem::take(&mut connection.reader.buffer).freeze(),
            io: connection.io,
            protocol,
            idle_limit: None,
            passed: Arc::default(),
        }));
        return Ok(response);
    }
    let reader = &mut loan.connection().reader;
    reader.start_body(framing);
    let whole = match framing {
        Framing::None => Some(Bytes::new()),
        // What is left of the request is not sent: nothing comes back for it.
        _ => reader.take_whole_body(),
    };
    match whole {
        Some(whole) => {
            // Bytes behind the answer belong to no request.
            let clean = reader.buffer.is_empty();
            reader.release();
            if over && keep_alive && clean {
                loan.give_back();
            }
            response.body = Body::full(whole);
        }
        None => {
            let left = reader.body_left();
            response.body = Body::splicing(ResponseBody {
                loan: Some(loan),
                sending: (!over).then_some(sending),
                keep_alive,
                left,
            });
        }
    }
    Ok(response)
}

const KEEP_ALIVE: Names = Names::new(&["keep-alive"]);

/// How long the connection may lie idle when `Keep-Alive: timeout=N` says for how long the upstream keeps it (RFC 2068,
/// section 19.7.1.1). A second less: a request that is sent just when it closes fails.
fn kept_for(headers: &Headers) -> Option<Duration> {
    const NAME: Name = Name::new("keep-alive");
    let parameters = std::str::from_utf8(headers.find(&NAME)?).ok()?;
    let timeout = parameters.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then_some(seconds)
    })?;
    Some(Duration::from_secs(timeout.saturating_sub(1)))
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
    /// Takes some of the body by `poll`, as long as there is any.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Reader, &Io, &mut Context<'_>) -> Poll<Option<Result<T, Fault>>>,
    ) -> Poll<Option<Result<T, Error>>> {
        let Some(loan) = &mut self.loan else {
            return Poll::Ready(None);
        };
        let connection = loan.connection();
        if let Some(sending) = &mut self.sending
            && let Poll::Ready(sent) = sending.poll_send(cx, connection)
        {
            sent?;
            if sending.is_over(&connection.out) {
                self.sending = None;
            }
        }
        let taken = ready!(poll(&mut connection.reader, &connection.io, cx));
        self.left = self.left.and(connection.reader.body_left());
        if connection.reader.body_done() {
            self.finish();
        }
        Poll::Ready(taken.map(|taken| {
            taken.map_err(|fault| {
                self.loan = None;
                broken(fault)
            })
        }))
    }

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
        self.get_mut()
            .poll_read(cx, |reader, io, cx| reader.poll_body(io, cx))
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

impl<L: Loan> Splice for ResponseBody<L> {
    fn can_splice(mut self: Pin<&mut Self>) -> bool {
        self.loan.as_mut().is_some_and(|loan| {
            let connection = loan.connection();
            connection.reader.can_splice(&connection.io)
        })
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
