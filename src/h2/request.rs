//! Requests as they arrive over HTTP/2: what the framing layer leaves to be checked, and their bodies.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::Body;
use crate::error::{BAD_REQUEST, CALLER_GONE, Error, HEADERS_TOO_LARGE, REQUEST_TIMEOUT};
use crate::h1::head;
use crate::headers::Headers;
use crate::timer::Deadline;

/// A request head that passed every rule.
pub struct RequestHead {
    pub method: Method,
    pub authority: Option<Authority>,
    pub target: PathAndQuery,
    pub headers: Headers,
}

/// Checks what the framing layer does not: the authority, the number of fields, and names that others take for
/// framing.
///
/// # Errors
/// `bad_request`, `headers_too_large`
pub(super) fn check(head: http::request::Parts, max_headers: usize) -> Result<RequestHead, Error> {
    let authority = authority(head.uri.authority(), &head.headers)?;
    if head.method == Method::CONNECT {
        return Err(refuse("CONNECT over HTTP/2 is not built yet"));
    }
    let method = head.method.as_str();
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(refuse(head::LOWER_CASE_METHOD));
    }
    // The next hop may speak HTTP/1.1.
    if head
        .headers
        .keys()
        .any(|name| head::names_framing_with_underscore(name.as_str().as_bytes()))
    {
        return Err(refuse(
            "a header name that could be read as a framing header",
        ));
    }
    let headers = join_cookies(head.headers);
    if headers.len() > max_headers {
        return Err(Error::new(
            HEADERS_TOO_LARGE,
            "the request has more header fields than this listener allows",
        ));
    }
    Ok(RequestHead {
        method: head.method,
        authority,
        target: head
            .uri
            .into_parts()
            .path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/")),
        headers: Headers::from(headers),
    })
}

/// `Host` and `:authority` must not contradict each other (RFC 9113, section 8.3.1).
fn authority(target: Option<&Authority>, headers: &HeaderMap) -> Result<Option<Authority>, Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(refuse("more than one Host")),
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => {
            Some(Authority::try_from(host.as_bytes()).map_err(|_| refuse("malformed Host"))?)
        }
        (None, None) => None,
    };
    let authority = match (target, host) {
        (Some(authority), Some(host)) if *authority != host => {
            return Err(refuse("Host and :authority contradict each other"));
        }
        (Some(authority), _) => Some(authority.clone()),
        (None, host) => host,
    };
    match authority {
        Some(authority) if !head::is_sound(&authority) => Err(refuse("malformed :authority")),
        authority => Ok(authority),
    }
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

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}

/// The body of a request; `answered` is set once its answer has begun.
///
/// Until then a caller may pause for no longer than `limit`. Later, a stream that is quiet on this side may be
/// one that listens.
pub(super) fn body(
    incoming: Incoming,
    limit: Option<Duration>,
    answered: &Arc<AtomicBool>,
) -> Body {
    if incoming.is_end_stream() {
        return Body::empty();
    }
    Body::stream(RequestBody {
        incoming,
        limit,
        answered: answered.clone(),
        gap: Deadline::new(),
    })
}

struct RequestBody {
    incoming: Incoming,
    limit: Option<Duration>,
    answered: Arc<AtomicBool>,
    gap: Deadline,
}

impl RequestBody {
    /// Completes when the caller has paused for too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        if !self.gap.is_set() {
            self.gap.set(Instant::now() + limit);
        }
        ready!(self.gap.poll_passed(cx));
        if self.answered.load(Ordering::Relaxed) {
            self.limit = None;
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) {
            self.gap.clear();
            return Poll::Ready(frame.map(|frame| frame.map_err(caller_failed)));
        }
        ready!(self.poll_stalled(cx));
        Poll::Ready(Some(Err(Error::new(
            REQUEST_TIMEOUT,
            "the request body stalled for longer than this listener allows",
        ))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

fn caller_failed(error: hyper::Error) -> Error {
    Error::new(CALLER_GONE, "the caller reset its request").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(authority: &str, fields: &[(&str, &str)]) -> http::request::Parts {
        let mut request = http::Request::builder();
        request = match authority {
            "" => request.uri("/"),
            authority => request.uri(format!("http://{authority}/")),
        };
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn checked(authority: &str, fields: &[(&str, &str)]) -> Result<RequestHead, Error> {
        check(head(authority, fields), 3)
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for sound in ["a", "a:80", "[::1]:80", "a:"] {
            let head = checked(sound, &[]).expect(sound);
            assert_eq!(head.authority.unwrap().as_str(), sound);
            let head = checked("", &[("host", sound)]).expect(sound);
            assert_eq!(head.authority.unwrap().as_str(), sound);
        }
        for host in [
            "a:80a", "u@a", "a:99999", "[::1", "[a]", "a b", "a:1:2", ":80",
        ] {
            let error = checked("", &[("host", host)]).err().expect(host);
            assert_eq!(error.reason(), BAD_REQUEST, "{host}");
        }
        assert!(checked("u@a", &[]).is_err());
        assert!(checked("a", &[("host", "b")]).is_err());
        assert!(checked("", &[("host", "a"), ("host", "a")]).is_err());
        assert!(checked("a", &[("host", "A")]).is_ok());
        assert!(checked("", &[("host", "")]).unwrap().authority.is_none());
    }

    #[test]
    fn the_number_of_fields_is_limited_and_crumbs_are_one() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2")];
        let three = [&crumbs[..], &[("x-a", "1"), ("x-b", "1")]].concat();
        let head = checked("a", &three).unwrap();
        assert_eq!(head.headers.get(&header::COOKIE), Some(&b"a=1; b=2"[..]));
        let four = [&three[..], &[("x-b", "2")]].concat();
        let error = checked("a", &four).err().unwrap();
        assert_eq!(error.reason(), HEADERS_TOO_LARGE);
    }

    #[test]
    fn a_method_in_lower_case_is_refused() {
        let mut post = head("a", &[]);
        post.method = Method::from_bytes(b"post").unwrap();
        assert!(check(post, 3).is_err());
    }

    #[test]
    fn a_name_that_gateways_take_for_framing_is_refused() {
        for name in ["content_length", "transfer_encoding", "transfer_Encoding"] {
            assert!(checked("a", &[(name, "1")]).is_err(), "{name}");
        }
        assert!(checked("a", &[("x_length", "1")]).is_ok());
    }
}
