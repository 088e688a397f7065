//! The side that callers speak to.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::Instant;

use super::io::Coalescing;
use super::request_body;
use crate::body::{Body, End, Guard};
use crate::error::{BAD_REQUEST, Error};
use crate::h1::head::{is_sound, names_framing_with_underscore};
use crate::headers::Headers;
use crate::io::Io;
use crate::message::Response;
use crate::timer::Deadline;

/// Limits of one connection; see `[listeners.NAME]` for their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub max_concurrent_streams: u32,
    pub max_header_bytes: u32,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    /// How long an idle caller that was told to go may stay.
    pub close_timeout: Duration,
}

/// Resets that a caller may have pending before the connection is closed on it (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Resets that a caller may provoke from us (CVE-2025-8671).
const MAX_PROVOKED_RESETS: usize = 256;

/// A request head; its rules were checked by the framing layer, except those of its authority.
pub struct RequestHead {
    pub method: Method,
    pub authority: Option<Authority>,
    pub target: PathAndQuery,
    pub headers: Headers,
}

/// Serves a connection to its end. `draining` is asked whenever the task is woken; once it says yes, callers are
/// told with GOAWAY, and what is under way finishes.
///
/// # Errors
/// What broke the connection.
pub async fn serve<F, A>(
    io: Io,
    early: Bytes,
    settings: Settings,
    draining: impl Fn() -> bool,
    answer: F,
) -> Result<(), hyper::Error>
where
    F: Fn(Result<RequestHead, Error>, Body) -> A,
    A: Future<Output = Response> + Send + 'static,
{
    let active = Arc::new(AtomicUsize::new(0));
    let service = service_fn(|request: http::Request<Incoming>| {
        let under_way = UnderWay::new(&active);
        let (head, incoming) = request.into_parts();
        let body = request_body::new(incoming, settings.body_timeout);
        let answering = answer(check(head), body);
        async move { Ok::<_, Infallible>(to_http(answering.await, under_way)) }
    });
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(super::STREAM_WINDOW)
            .initial_connection_window_size(super::CONNECTION_WINDOW)
            .max_send_buf_size(super::SEND_BUFFER)
            .max_concurrent_streams(settings.max_concurrent_streams)
            .max_header_list_size(settings.max_header_bytes)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_PROVOKED_RESETS)
            .serve_connection(TokioIo::new(Coalescing::new(io, early)), service)
    );
    let mut limit = Deadline::new();
    let mut phase = Phase::Serving;
    poll_fn(|cx| {
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            return Poll::Ready(end);
        }
        if active.load(Ordering::Relaxed) > 0 {
            limit.clear();
        } else if phase == Phase::Serving && !limit.is_set() {
            limit.set(Instant::now() + settings.idle_timeout);
        }
        let passed = limit.poll_passed(cx).is_ready();
        match phase {
            Phase::Serving if passed || draining() => {
                connection.as_mut().graceful_shutdown();
                phase = if passed {
                    Phase::Leaving
                } else {
                    Phase::Draining
                };
                if passed {
                    limit.set(Instant::now() + settings.close_timeout);
                }
                // Both GOAWAY and the new limit want a poll of their own.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Phase::Leaving if passed => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    })
    .await
}

/// How far a connection is from its end.
#[derive(PartialEq, Eq)]
enum Phase {
    Serving,
    /// Told to go for being idle: a caller that does not is left.
    Leaving,
    /// Told to go by the drain, which has a limit of its own.
    Draining,
}

/// Counts a request until the end of its answer.
struct UnderWay(Arc<AtomicUsize>);

impl UnderWay {
    fn new(active: &Arc<AtomicUsize>) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        UnderWay(active.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Guard for UnderWay {
    fn end(&mut self, _: End<'_>, _: u64) {}
}

/// `Host` and `:authority` must not contradict each other (RFC 9113, section 8.3.1).
fn check(head: http::request::Parts) -> Result<RequestHead, Error> {
    let refuse = |why| Error::new(BAD_REQUEST, why);
    let uri = head.uri.into_parts();
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(refuse("more than one Host")),
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| refuse("malformed Host"))?)
        }
        (None, None) => None,
    };
    let authority = match (uri.authority, host) {
        (Some(authority), Some(host)) if authority != host => {
            return Err(refuse("Host and :authority contradict each other"));
        }
        (Some(authority), _) => Some(authority),
        (None, host) => host,
    };
    if authority
        .as_ref()
        .is_some_and(|authority| !is_sound(authority))
    {
        return Err(refuse("malformed :authority"));
    }
    // The next hop may speak HTTP/1.1.
    if head
        .headers
        .keys()
        .any(|name| names_framing_with_underscore(name.as_str().as_bytes()))
    {
        return Err(refuse(
            "a header name that could be read as a framing header",
        ));
    }
    if head.method == Method::CONNECT {
        return Err(refuse("CONNECT over HTTP/2 is not built yet"));
    }
    Ok(RequestHead {
        method: head.method,
        authority,
        target: uri
            .path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: Headers::from(join_cookies(head.headers)),
    })
}

/// HTTP/2 may cut `Cookie` into crumbs; whoever does not speak it must see one field (RFC 9113, section 8.2.3).
fn join_cookies(mut headers: HeaderMap) -> HeaderMap {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if let (Some(_), Some(_)) = (crumbs.next(), crumbs.next()) {
        let crumbs: Vec<&[u8]> = headers
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if let Ok(whole) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
            headers.insert(header::COOKIE, whole);
        }
    }
    headers
}

fn to_http(response: Response, under_way: UnderWay) -> http::Response<Body> {
    let mut message = http::Response::new(response.body.with_guard(under_way));
    *message.status_mut() = response.status;
    let mut headers: HeaderMap = response.headers.into_map();
    for connection_specific in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(connection_specific);
    }
    if response.status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
    *message.headers_mut() = headers;
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(uri: &str, fields: &[(&str, &str)]) -> Result<RequestHead, Error> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        check(request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_authority_is_one() {
        for (uri, fields, authority) in [
            ("http://a:80/x", &[][..], Some("a:80")),
            ("http://a/x", &[("host", "A")], Some("a")),
            ("/x", &[("host", "a")], Some("a")),
            ("/x", &[("host", "")], None),
            ("/x", &[], None),
        ] {
            let head = checked(uri, fields).unwrap();
            assert_eq!(head.authority.as_ref().map(Authority::as_str), authority);
            assert_eq!(head.target, "/x");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (uri, fields) in [
            ("http://a/", &[("host", "b")][..]),
            ("http://a/", &[("host", "a"), ("host", "a")]),
            ("http://a@b/", &[]),
            ("http://a:x/", &[]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", ":80")]),
            ("http://a/", &[("content_length", "5")]),
            ("http://a/", &[("transfer_encoding", "chunked")]),
        ] {
            let error = checked(uri, fields).err().expect(uri);
            assert_eq!(error.reason(), BAD_REQUEST);
        }
    }

    #[test]
    fn crumbs_of_cookies_are_joined() {
        let head = checked("http://a/", &[("cookie", "a=b"), ("cookie", "c=d")]).unwrap();
        let cookies: Vec<_> = head.headers.get_all(&header::COOKIE).collect();
        assert_eq!(cookies, [b"a=b; c=d"]);
    }
}
