//! What only TRACE and OPTIONS have: they may end at the proxy itself, and TRACE tells its caller what was sent.

use http::{HeaderValue, Method, StatusCode, header};

use crate::http::body::Body;
use crate::http::headers::{Headers, Names};
use crate::http::message::{Request, Response};
use crate::value::CREDENTIALS;

/// What the answer to TRACE would hand to whoever can read it (RFC 9110, section 9.3.8).
const SECRETS: Names = Names::new(&CREDENTIALS);

/// Takes out of a TRACE what its answer must not show.
pub(super) fn withhold_secrets(headers: &mut Headers) {
    headers.remove_all(&SECRETS);
}

/// The answer to a request that goes no further: the upstream's part (RFC 9110, sections 9.3.7 and 9.3.8).
pub(super) fn answer(request: &Request, allow: &HeaderValue) -> Response {
    if request.method == Method::TRACE {
        let mut response = Response::new(StatusCode::OK, Body::full(seen(request)));
        let kind = HeaderValue::from_static("message/http");
        response.headers.insert(&header::CONTENT_TYPE, &kind);
        return response;
    }
    let mut response = Response::new(StatusCode::NO_CONTENT, Body::empty());
    response.headers.insert(&header::ALLOW, allow);
    response
}

/// The request as it would have gone on.
fn seen(request: &Request) -> Vec<u8> {
    let mut text = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
    request.headers.put_lines(&mut text, &SECRETS);
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};

    #[test]
    fn options_is_told_what_the_route_takes() {
        let answer = answer(
            &request("OPTIONS", "/"),
            &HeaderValue::from_static("GET, OPTIONS"),
        );
        assert_eq!(answer.status, 204);
        assert_eq!(answer.headers.get_str(&header::ALLOW), Some("GET, OPTIONS"));
    }

    #[test]
    fn trace_is_shown_what_would_have_gone_on_but_no_secret() {
        let mut trace = request("TRACE", "/a?b");
        trace.headers = headers(&[("x-a", "1"), ("authorization", "hush"), ("cookie", "hush")]);
        let mut answer = answer(&trace, &HeaderValue::from_static(""));
        assert_eq!(
            answer.headers.get_str(&header::CONTENT_TYPE),
            Some("message/http")
        );
        assert_eq!(
            answer.body.take_full().unwrap(),
            "TRACE /a?b HTTP/1.1\r\nx-a: 1\r\n\r\n"
        );
    }
}
