//! The side that speaks to upstreams: one exchange at a time on one connection.
//!
//! There is no task beside the request's own: the response body reads the upstream's socket when it is polled,
//! and at its end gives the connection back to whoever lent it.

mod answer;
mod connection;
mod sending;

pub use connection::{Connection, Loan};

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use http::{Method, StatusCode};
use http_body::Body as _;

use self::answer::AnswerHead;
use self::sending::Sending;
use super::framing::Framing;
use super::head::{self, Limits, ResponseHead};
use super::pace::Pace;
use crate::http::error::{
    Error, Progress, REQUEST_TIMEOUT, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET,
};
use crate::http::headers::Name;
use crate::http::message::{Request, Response};
use crate::http::semantics::{method, upgrade};

/// Bounds of a response head.
const HEAD: Limits = Limits::new(256 << 10, 256);

/// Sends a request over a lent connection; the answer's body owns the loan to its end.
///
/// # Errors
/// `upstream_reset`, `upstream_protocol_error`, those of the request's own body, and `request_timeout` when the body
/// keeps a connection for which others wait. With [`Progress::Unsent`] no
/// byte went out and `request` has its body back; with any other, it has it back only as far as what was taken of it
/// is little.
pub async fn exchange<L: Loan>(mut loan: L, request: &mut Request) -> Result<Box<Response>, Error> {
    let framing = put_head(&mut loan, request);
    let mut sending = Sending::new(request, framing);
    let mut progress = HeadProgress::default();
    let head = poll_fn(|cx| {
        let connection = loan.connection();
        if let Poll::Ready(head) = poll_answer(cx, connection, &mut sending, &mut progress, request)
        {
            return Poll::Ready(head);
        }
        loop {
            ready!(sending.poll_slow(cx, &loan.connection().out));
            if loan.is_wanted() {
                return Poll::Ready(Err(too_slow()));
            }
        }
    })
    .await;
    match head {
        Ok(head) => {
            if head.switches(request) && !sending.is_over(&loan.connection().out) {
                Box::pin(send_rest(&mut loan, &mut sending)).await?;
            }
            answer::answer(loan, sending, head, request)
        }
        Err(error) => {
            let unsent = loan.connection().out.total() == 0;
            let whole = sending.give_back(request);
            Err(match error.progress() {
                Progress::Sent if unsent && whole && error.reason() == UPSTREAM_RESET => {
                    error.at(Progress::Unsent)
                }
                _ => error,
            })
        }
    }
}

/// An upstream may agree to another protocol before it has read the request, whose end comes first all the same (RFC
/// 9110, section 7.8).
async fn send_rest<L: Loan>(loan: &mut L, sending: &mut Sending) -> Result<(), Error> {
    sending.go_on();
    poll_fn(|cx| sending.poll_send(cx, loan.connection())).await
}

fn too_slow() -> Error {
    Error::new(
        REQUEST_TIMEOUT,
        "the request body comes too slowly while others wait for the connection",
    )
    .at(Progress::Sent)
}

fn put_head<L: Loan>(loan: &mut L, request: &Request) -> Framing {
    let size = request.body.size_hint();
    let framing = match size.exact() {
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    let connection = loan.connection();
    let out = connection.out.start();
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    match (&request.method, &request.authority) {
        (&Method::CONNECT, Some(authority)) => out.extend_from_slice(authority.as_str().as_bytes()),
        _ => out.extend_from_slice(request.target.as_str().as_bytes()),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if request.headers.find(&Name::HOST).is_none() {
        let host = request.authority.as_ref().map_or("", |a| a.as_str());
        head::put_field(out, b"host", host.as_bytes());
    }
    let tells_length = match framing {
        Framing::Length(length) => request.headers.tell_length(length),
        _ => false,
    };
    head::put_fields(out, &request.headers, tells_length);
    match framing {
        Framing::Length(_) if tells_length => {}
        Framing::Length(length) => head::put_length(out, length),
        Framing::Chunked => head::put_field(out, b"transfer-encoding", b"chunked"),
        _ if method::usually_has_content(&request.method) => head::put_length(out, 0),
        _ => {}
    }
    // Both are for this connection only, and it must say so (RFC 9110, sections 7.8 and 10.1.4).
    const TE: Name = Name::new("te");
    let te = request.headers.find(&TE).is_some();
    let options: &[u8] = match (te, &request.upgrade) {
        (true, Some(_)) => b"te, upgrade",
        (true, None) => b"te",
        (false, Some(_)) => b"upgrade",
        (false, None) => b"",
    };
    if !options.is_empty() {
        head::put_field(out, b"connection", options);
    }
    if let Some(protocol) = &request.upgrade {
        head::put_field(out, b"upgrade", protocol.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    connection.out.start_body(framing);
    framing
}

/// How far the answer's head is.
#[derive(Default)]
struct HeadProgress {
    pace: Pace,
    /// An interim answer came: the upstream has seen the request.
    interim: bool,
}

fn poll_answer(
    cx: &mut Context<'_>,
    connection: &mut Connection,
    sending: &mut Sending,
    progress: &mut HeadProgress,
    request: &Request,
) -> Poll<Result<AnswerHead, Error>> {
    loop {
        // A failure to send is not the end: an upstream that refuses a body answers before it closes.
        let _ = sending.poll_send(cx, connection)?;
        let reader = &mut connection.reader;
        if progress.pace.is_worthwhile(&reader.buffer) {
            match head::take_response(&mut reader.buffer, HEAD, &request.method)? {
                Some(head) if is_final(&head, request)? => {
                    return Poll::Ready(Ok(AnswerHead::new(head)));
                }
                Some(interim) => {
                    *progress = HeadProgress {
                        pace: Pace::default(),
                        interim: true,
                    };
                    if interim.status == StatusCode::CONTINUE {
                        sending.go_on();
                    } else if let Some(way) = &request.context.interim {
                        way.send(interim.status, &interim.headers);
                    }
                    continue;
                }
                None => progress.pace.attempted(reader.buffer.len()),
            }
        } else if reader.buffer.len() > HEAD.bytes() {
            return Poll::Ready(Err(head::response_too_large()));
        }
        let started = progress.interim || !reader.buffer.is_empty();
        let cause = match ready!(reader.poll_fill(&connection.io, cx)) {
            Ok(0) => {
                // What arrived may be malformed, though not worth a look while more could come.
                head::take_response(&mut reader.buffer, HEAD, &request.method)?;
                sending.take_failure()
            }
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

/// Whether no other head follows. A 101 is final, and must name what was asked for (RFC 9110, section 7.8).
fn is_final(head: &ResponseHead, request: &Request) -> Result<bool, Error> {
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(!head.status.is_informational());
    }
    let offered = request.upgrade.as_ref().map_or(&b""[..], |v| v.as_bytes());
    let chosen = head.upgrade.as_ref().map_or(&b""[..], |v| v.as_bytes());
    if upgrade::is_choice_of(offered, chosen) {
        return Ok(true);
    }
    Err(Error::new(
        UPSTREAM_PROTOCOL_ERROR,
        "the upstream switched to a protocol that was not asked for",
    )
    .at(Progress::Answering))
}
