//! The side that speaks to upstreams: many exchanges at once on one connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::io::Coalescing;
use crate::body::{Body, End, Guard};
use crate::error::{
    BAD_REQUEST, CONNECT_FAILED, Error, Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET,
};
use crate::headers::Headers;
use crate::io::Io;
use crate::message::{Request, Response};

/// Exchanges at once on one connection, before another is opened: the limit that servers commonly set.
pub const BUSY: usize = 100;
/// What all streams of a connection may send before it is read. Callers of many connections meet here, so that as
/// many as share one may leave their answers unread and not stall the others.
const CONNECTION_WINDOW: u32 = BUSY as u32 * super::STREAM_WINDOW;
/// Bytes of an answer's head.
const MAX_HEADER_LIST: u32 = 256 << 10;

/// A connection to an upstream; clones share it.
#[derive(Clone)]
pub struct Connection {
    send: http2::SendRequest<Outgoing>,
    in_flight: Arc<AtomicUsize>,
    pub made: Instant,
}

impl Connection {
    /// Shakes hands over a connected socket. The connection's own task ends with it.
    ///
    /// # Errors
    /// `connect_failed`.
    pub async fn new(io: Io) -> Result<Self, Error> {
        let io = TokioIo::new(Coalescing::new(io, Bytes::new()));
        let (send, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(super::STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .max_send_buf_size(super::SEND_BUFFER)
            .handshake(io)
            .await
            .map_err(|error| {
                Error::new(CONNECT_FAILED, "the upstream does not speak HTTP/2").because(error)
            })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream broke");
            }
        });
        Ok(Connection {
            send,
            in_flight: Arc::default(),
            made: Instant::now(),
        })
    }

    pub fn is_closed(&self) -> bool {
        self.send.is_closed()
    }

    /// Exchanges under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Sends a request. On failure `request` has its body back if nothing was sent.
    pub async fn exchange(&mut self, request: &mut Request) -> Result<Response, Error> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let under_way = UnderWay(self.in_flight.clone());
        if self.send.ready().await.is_err() {
            return Err(Error::new(
                UPSTREAM_RESET,
                "the upstream closed the connection",
            ));
        }
        let message = to_http(request)?;
        let fault = message.body().fault.clone();
        match self.send.try_send_request(message).await {
            Ok(response) => Ok(from_http(response, under_way)),
            Err(mut failure) => {
                if let Some(message) = failure.take_message() {
                    request.body = message.into_body().body;
                    return Err(failed(failure.into_error()).at(Progress::Unsent));
                }
                Err(match fault.and_then(|fault| fault.take()) {
                    Some(fault) => fault.at(Progress::Sent),
                    None => failed_before_answer(failure.into_error()),
                })
            }
        }
    }
}

/// Counts an exchange until the end of its answer.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard for UnderWay {
    fn end(&mut self, _: End<'_>, _: u64) {}
}

/// The body of a request on its way.
struct Outgoing {
    body: Body,
    /// Where its failure is left: the framing layer tells only that there was one. None for a body that cannot fail.
    fault: Option<Arc<Fault>>,
}

#[derive(Default)]
struct Fault(Mutex<Option<Error>>);

impl Fault {
    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Outgoing {
    fn new(body: Body) -> Self {
        Outgoing {
            fault: body.is_stream().then(Arc::default),
            body,
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let Outgoing { body, fault } = self.get_mut();
        Pin::new(body).poll_frame(cx).map_err(|error| {
            if let Some(fault) = fault {
                *fault.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            "the request's body failed"
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer.
struct IncomingBody(Incoming);

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0)
            .poll_frame(cx)
            .map_err(|error| failed(error).at(Progress::Answering))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

fn to_http(request: &mut Request) -> Result<http::Request<Outgoing>, Error> {
    let mut headers: HeaderMap = request.headers.clone().into_map();
    headers.remove(header::HOST);
    headers.remove(header::CONTENT_LENGTH);
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority.clone_from(&request.authority);
    uri.path_and_query = Some(request.target.clone());
    if uri.authority.is_none() {
        return Err(Error::new(
            BAD_REQUEST,
            "a request without Host cannot go over HTTP/2",
        ));
    }
    if request.method == Method::CONNECT {
        return Err(Error::new(
            BAD_REQUEST,
            "CONNECT to an HTTP/2 upstream is not built yet",
        ));
    }
    let uri = Uri::from_parts(uri)
        .map_err(|_| Error::new(BAD_REQUEST, "the request target cannot go over HTTP/2"))?;
    let body = std::mem::replace(&mut request.body, Body::empty());
    // The body may be another than the one that came.
    if let Some(length @ 1..) = body.size_hint().exact() {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut message = http::Request::new(Outgoing::new(body));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = Version::HTTP_2;
    *message.headers_mut() = headers;
    Ok(message)
}

fn from_http(response: http::Response<Incoming>, under_way: UnderWay) -> Response {
    let (head, incoming) = response.into_parts();
    let body = match incoming.is_end_stream() {
        true => Body::empty(),
        false => Body::stream(IncomingBody(incoming)),
    };
    Response {
        status: head.status,
        version: head.version,
        headers: Headers::from(head.headers),
        body: body.with_guard(under_way),
        upgrade: None,
        served_by: None,
        refused: None,
    }
}

/// RFC 9113, section 8.7: what the upstream refused, or left out when it went away, it has not processed.
fn failed_before_answer(error: hyper::Error) -> Error {
    let refused = cause(&error).is_some_and(|cause| {
        let (reason, remote) = (cause.reason(), cause.is_remote());
        let stream = cause.is_reset() && reason == Some(h2::Reason::REFUSED_STREAM);
        let connection = cause.is_go_away() && reason == Some(h2::Reason::NO_ERROR);
        remote && (stream || connection)
    });
    failed(error).at(match refused {
        true => Progress::Unsent,
        false => Progress::Sent,
    })
}

fn failed(error: hyper::Error) -> Error {
    let reason = cause(&error).and_then(h2::Error::reason);
    match reason {
        Some(h2::Reason::PROTOCOL_ERROR) => Error::new(
            UPSTREAM_PROTOCOL_ERROR,
            "the upstream breaks the rules of HTTP/2",
        ),
        _ => Error::new(UPSTREAM_RESET, "the upstream reset the request"),
    }
    .because(error)
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error).and_then(|cause| cause.downcast_ref())
}
