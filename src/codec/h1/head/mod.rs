//! Bytes to a request or response head, and back.

mod fields;
mod host;
mod limits;
mod outline;
mod scan;
mod target;
mod write;

#[cfg(test)]
mod tests;

use bytes::{Buf, Bytes, BytesMut};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, StatusCode, Version};

use self::fields::{BARE_LF, Fields, offset, with_room};
use self::scan::{RequestScan, ResponseScan};
use super::framing::Framing;
use crate::http::error::{
    BAD_REQUEST, Error, HEADERS_TOO_LARGE, Progress, UPSTREAM_PROTOCOL_ERROR,
};
use crate::http::headers::Headers;
use crate::http::semantics::{no_body, tunnel};

pub use self::fields::{has_bare_lf, names_framing_with_underscore};
pub use self::limits::Limits;
pub use self::outline::outline;
pub use self::target::{is_sound, path_and_query};
pub use self::write::{put_field, put_fields, put_length, put_status};

/// Lenient servers take `post` for POST, while no route and no policy that names POST does: RFC 9110 section 9.1
/// has methods case-sensitive, and knows none in lower case.
pub const LOWER_CASE_METHOD: &str = "a method in lower case";

/// A request head that passed every rule.
#[derive(Debug)]
pub struct RequestHead {
    pub method: Method,
    /// From the target, or else from `Host`: RFC 9112, section 3.2.2.
    pub authority: Option<Authority>,
    pub target: PathAndQuery,
    pub version: Version,
    pub headers: Headers,
    pub framing: Framing,
    /// Whether the caller lets the connection stay open.
    pub keep_alive: bool,
    /// Whether the caller waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// What `Upgrade` offers, when `Connection` asks for it; never a protocol by which HTTP itself goes on.
    pub upgrade: Option<HeaderValue>,
}

/// A response head that passed every rule.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub version: Version,
    pub headers: Headers,
    pub framing: Framing,
    /// Whether the connection may be used again.
    pub keep_alive: bool,
    /// The protocol of `Upgrade`.
    pub upgrade: Option<HeaderValue>,
}

/// Takes a request head from the front of `buffer`, once it is there whole. One that is refused stays there.
///
/// # Errors
/// `bad_request` for what is malformed or could be read in two ways, `headers_too_large` above the limits.
pub fn take_request(buffer: &mut BytesMut, limits: Limits) -> Result<Option<RequestHead>, Error> {
    // RFC 9112 section 2.2 allows empty lines before a request line.
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
    if buffer.starts_with(b"\n") {
        return Err(refuse(BARE_LF));
    }
    let Some(scan) = scan_request(buffer, limits)? else {
        return judge_lines(buffer, limits).map(|()| None);
    };
    let mut received = buffer.split_to(scan.length).freeze();
    let head = scan.into_head(&mut received);
    if head.is_err() {
        let behind = std::mem::replace(buffer, BytesMut::from(&received[..]));
        buffer.extend_from_slice(&behind);
    }
    head
}

/// Takes a response head from the front of `buffer`, once it is there whole. `method` is the request's.
///
/// # Errors
/// `upstream_protocol_error`.
pub fn take_response(
    buffer: &mut BytesMut,
    limits: Limits,
    method: &Method,
) -> Result<Option<ResponseHead>, Error> {
    let Some(scan) = scan_response(buffer, limits)? else {
        return Ok(None);
    };
    let received = buffer.split_to(scan.length).freeze();
    scan.into_head(received, method).map(Some)
}

#[inline(always)]
fn scan_request(buffer: &[u8], limits: Limits) -> Result<Option<RequestScan>, Error> {
    match scan::request(buffer, limits) {
        Some(plain) => Ok(Some(plain)),
        None => parse_request(buffer, limits),
    }
}

fn parse_request(buffer: &[u8], limits: Limits) -> Result<Option<RequestScan>, Error> {
    with_room(limits, |room| {
        let mut parsed = httparse::Request::new(&mut []);
        let length = match parsed.parse_with_uninit_headers(buffer, room) {
            Ok(httparse::Status::Complete(length)) if length <= limits.bytes() => length,
            Ok(httparse::Status::Partial) if buffer.len() <= limits.bytes() => return Ok(None),
            Ok(_) => return Err(too_large()),
            Err(error) => return Err(malformed_request(error, buffer)),
        };
        let target = parsed.path.unwrap_or_default().as_bytes();
        let method = parsed.method.unwrap_or_default().as_bytes();
        if method.iter().any(u8::is_ascii_lowercase) {
            return Err(refuse(LOWER_CASE_METHOD));
        }
        Ok(Some(RequestScan {
            length,
            method: Method::from_bytes(method).map_err(|_| refuse("malformed method"))?,
            target: (offset(buffer, target), target.len()),
            http_10: parsed.version == Some(0),
            fields: Fields::gather(&buffer[..length], parsed.headers).map_err(refuse)?,
        }))
    })
}

/// Refuses a head whose framing is wrong already, rather than to wait for its end.
fn judge_lines(buffer: &[u8], limits: Limits) -> Result<(), Error> {
    let Some(end) = memchr::memmem::rfind(buffer, b"\r\n") else {
        return Ok(());
    };
    let so_far = [&buffer[..end], b"\r\n\r\n"].concat();
    match scan_request(&so_far, limits)? {
        Some(scan) => scan
            .fields
            .framing
            .of_request(scan.http_10)
            .map(|_| ())
            .map_err(refuse),
        None => Ok(()),
    }
}

impl RequestScan {
    /// Takes `received`, unless the head is refused. What comes back is what the caller gives back: it is large, and each
    /// other type on the way would be another copy.
    fn into_head(self, received: &mut Bytes) -> Result<Option<RequestHead>, Error> {
        let (fields, http_10) = (self.fields, self.http_10);
        let framing = fields.framing.of_request(http_10).map_err(refuse)?;
        let host = match fields.host {
            Some((start, len)) => host::parse(&received[start..start + len])?,
            None if http_10 => None,
            None => return Err(refuse("no Host")),
        };
        let (start, len) = self.target;
        let (authority, target) =
            target::parse(&self.method, received.slice(start..start + len), host)?;
        let upgrade = if http_10 {
            None
        } else {
            fields.requested_upgrade(received)
        };
        if self.method == Method::CONNECT
            && (fields.framing.has_length() || fields.framing.is_chunked())
        {
            return Err(refuse("a CONNECT with a body"));
        }
        Ok(Some(RequestHead {
            method: self.method,
            authority,
            target,
            version: version(http_10),
            framing,
            keep_alive: fields.keep_alive(http_10),
            expects_continue: fields.expects_continue && !http_10 && framing != Framing::None,
            upgrade,
            headers: Headers::from_received(std::mem::take(received), fields.spans),
        }))
    }
}

#[inline(always)]
fn scan_response(buffer: &[u8], limits: Limits) -> Result<Option<ResponseScan>, Error> {
    match scan::response(buffer, limits) {
        Some(plain) => Ok(Some(plain)),
        None => parse_response(buffer, limits),
    }
}

fn parse_response(buffer: &[u8], limits: Limits) -> Result<Option<ResponseScan>, Error> {
    if matches!(buffer.first(), Some(b'\r' | b'\n')) {
        // The parser would skip it; an upstream that sends it has lost count of an earlier body.
        return Err(distrust("an empty line before a response"));
    }
    with_room(limits, |room| {
        let mut parsed = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let length = match parser.parse_response_with_uninit_headers(&mut parsed, buffer, room) {
            Ok(httparse::Status::Complete(length)) if length <= limits.bytes() => length,
            Ok(httparse::Status::Partial) if buffer.len() <= limits.bytes() => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(response_too_large()),
            Err(error) => return Err(distrust("the response head is malformed").because(error)),
        };
        Ok(Some(ResponseScan {
            length,
            status: StatusCode::from_u16(parsed.code.unwrap_or_default())
                .map_err(|_| distrust("the status is not one"))?,
            http_10: parsed.version == Some(0),
            fields: Fields::gather(&buffer[..length], parsed.headers).map_err(distrust)?,
        }))
    })
}

impl ResponseScan {
    fn into_head(self, received: Bytes, method: &Method) -> Result<ResponseHead, Error> {
        let (status, fields) = (self.status, self.fields);
        let tunnel = tunnel::is_opened(method, status);
        let bodyless = tunnel || no_body::ends_with_head(*method == Method::HEAD, status);
        let framing = fields
            .framing
            .of_response(self.http_10, bodyless)
            .map_err(distrust)?;
        // Whether bytes follow is anyone's guess.
        let contradicts_itself =
            !no_body::may_tell_length(status) && !tunnel && fields.framing.promises_content();
        if contradicts_itself && status.is_informational() {
            return Err(distrust("an interim response that promises a body"));
        }
        Ok(ResponseHead {
            status,
            version: version(self.http_10),
            framing,
            keep_alive: fields.keep_alive(self.http_10)
                && framing != Framing::UntilClose
                && !contradicts_itself,
            upgrade: fields.upgrade(&received),
            headers: Headers::from_received(received, fields.spans),
        })
    }
}

fn version(http_10: bool) -> Version {
    if http_10 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    }
}

fn malformed_request(error: httparse::Error, buffer: &[u8]) -> Error {
    match error {
        httparse::Error::TooManyHeaders => too_large(),
        // The first bytes of a TLS ClientHello.
        _ if buffer.starts_with(&[0x16, 0x03]) => {
            refuse("this port speaks plain HTTP, and the request came as TLS")
        }
        httparse::Error::HeaderName => refuse("malformed header name"),
        httparse::Error::HeaderValue => refuse("malformed header value"),
        httparse::Error::Version => refuse("not an HTTP version that is spoken here"),
        _ => refuse("malformed request head"),
    }
}

pub fn too_large() -> Error {
    Error::new(
        HEADERS_TOO_LARGE,
        "the request head is larger than this listener allows",
    )
}

pub fn response_too_large() -> Error {
    distrust("the response head is too large")
}

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}

fn distrust(why: &'static str) -> Error {
    Error::new(UPSTREAM_PROTOCOL_ERROR, why).at(Progress::Answering)
}
