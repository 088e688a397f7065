//! The side that speaks to upstreams: many exchanges at once on one connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Method, Uri, Version, header};
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

/// Bytes of an answer's head.
const MAX_HEADER_LIST: u32 = 256 << 10;

/// A connection to an upstream; clones share it.
#[derive(Clone)]
pub struct Connection {
    send: http2::SendRequest<Body>,
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
            .initial_connection_window_size(super::CONNECTION_WINDOW)
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
        match self.send.try_send_request(message).await {
            Ok(response) => Ok(from_http(response, under_way)),
            Err(mut failure) => {
                let unsent = failure.take_message();
                let error = failed(failure.into_error());
                Err(match unsent {
                    Some(message) => {
                        request.body = message.into_body();
                        error.at(Progress::Unsent)
                    }
                    None => error.at(Progress::Sent),
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

fn to_http(request: &mut Request) -> Result<http::Request<Body>, Error> {
    let mut headers: HeaderMap = request.headers.clone().into_map();
    headers.remove(header::HOST);
    let had_length = headers.remove(header::CONTENT_LENGTH).is_some();
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
    if let Some(length @ 1..) = http_body::Body::size_hint(&body).exact()
        && had_length
    {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let mut message = http::Request::new(body);
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = uri;
    *message.version_mut() = Version::HTTP_2;
    *message.headers_mut() = headers;
    Ok(message)
}

fn from_http(response: http::Response<hyper::body::Incoming>, under_way: UnderWay) -> Response {
    let (head, incoming) = response.into_parts();
    Response {
        status: head.status,
        version: head.version,
        headers: Headers::from(head.headers),
        body: super::body(incoming, |error| failed(error).at(Progress::Answering))
            .with_guard(under_way),
        upgrade: None,
        served_by: None,
        refused: None,
    }
}

fn failed(error: hyper::Error) -> Error {
    let h2 = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    let malformed = h2.and_then(h2::Error::reason) == Some(h2::Reason::PROTOCOL_ERROR);
    match malformed {
        true => Error::new(
            UPSTREAM_PROTOCOL_ERROR,
            "the upstream breaks the rules of HTTP/2",
        ),
        false => Error::new(UPSTREAM_RESET, "the upstream reset the request"),
    }
    .because(error)
}
