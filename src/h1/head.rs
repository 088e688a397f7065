//! Bytes to a request or response head, and back.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, StatusCode, Uri, Version};

use super::framing::{Framing, FramingHeaders};
use crate::error::{BAD_REQUEST, Error, HEADERS_TOO_LARGE, UPSTREAM_PROTOCOL_ERROR};
use crate::headers::{Headers, Spans};

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, from the first of the start line to the empty line.
    pub bytes: usize,
    pub fields: usize,
}

/// A longer field name is refused whatever the limits: no type further on could hold it.
const MAX_NAME: usize = 32 << 10;
/// Heads with at most so many fields are parsed without an allocation.
const FIELDS_ON_STACK: usize = 100;

/// A request head that passed every rule.
#[derive(Debug)]
pub struct RequestHead {
    pub method: Method,
    pub authority: Option<Authority>,
    pub target: PathAndQuery,
    pub version: Version,
    pub headers: Headers,
    pub framing: Framing,
    /// Whether the caller lets the connection stay open.
    pub keep_alive: bool,
    /// Whether the caller waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// The protocol of `Upgrade`, when `Connection` asks for one.
    pub upgrade: Option<HeaderValue>,
}

/// A response head that passed every rule.
#[derive(Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub version: Version,
    pub headers: Headers,
    pub framing: Framing,
    /// Whether the upstream lets the connection stay open.
    pub keep_alive: bool,
    /// The protocol of `Upgrade`.
    pub upgrade: Option<HeaderValue>,
}

/// Takes a request head from the front of `buffer`, once it is there whole.
///
/// # Errors
/// `bad_request` for what is malformed or could be read in two ways, `headers_too_large` above the limits.
pub fn take_request(buffer: &mut BytesMut, limits: Limits) -> Result<Option<RequestHead>, Error> {
    // RFC 9112 section 2.2 allows empty lines before a request line.
    while buffer.starts_with(b"\r\n") {
        buffer.advance(2);
    }
    let Some(scan) = scan_request(buffer, limits)? else {
        return Ok(None);
    };
    let received = buffer.split_to(scan.length).freeze();
    scan.fields
        .into_request(received, scan.method, scan.target, scan.http_10)
        .map(Some)
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
    let bodyless = *method == Method::HEAD
        || scan.status.is_informational()
        || scan.status == StatusCode::NO_CONTENT
        || scan.status == StatusCode::NOT_MODIFIED
        || *method == Method::CONNECT && scan.status.is_success();
    let fields = scan.fields;
    let framing = fields
        .framing
        .of_response(scan.http_10, bodyless)
        .map_err(distrust)?;
    let received = buffer.split_to(scan.length).freeze();
    Ok(Some(ResponseHead {
        status: scan.status,
        version: if scan.http_10 {
            Version::HTTP_10
        } else {
            Version::HTTP_11
        },
        framing,
        keep_alive: fields.keep_alive(scan.http_10) && framing != Framing::UntilClose,
        upgrade: fields
            .upgrade
            .and_then(|(start, len)| HeaderValue::from_bytes(&received[start..start + len]).ok()),
        headers: Headers::from_received(received, fields.spans),
    }))
}

/// What one pass over a request head found; offsets count from its first byte.
struct RequestScan {
    length: usize,
    method: Method,
    target: usize,
    http_10: bool,
    fields: Fields,
}

fn scan_request(buffer: &[u8], limits: Limits) -> Result<Option<RequestScan>, Error> {
    with_fields(limits, |fields| {
        let mut parsed = httparse::Request::new(&mut []);
        let length = match parsed.parse_with_uninit_headers(buffer, fields) {
            Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
            Ok(httparse::Status::Partial) if buffer.len() <= limits.bytes => return Ok(None),
            Ok(_) => return Err(too_large()),
            Err(error) => return Err(malformed_request(error, buffer)),
        };
        if has_bare_lf(&buffer[..length]) {
            return Err(refuse("a line that ends without CR"));
        }
        let mut fields = Fields::new(parsed.headers.len());
        for field in parsed.headers.iter() {
            fields.note(buffer, field).map_err(refuse)?;
        }
        Ok(Some(RequestScan {
            length,
            method: Method::from_bytes(parsed.method.unwrap_or_default().as_bytes())
                .map_err(|_| refuse("malformed method"))?,
            target: offset(buffer, parsed.path.unwrap_or_default().as_bytes()),
            http_10: parsed.version == Some(0),
            fields,
        }))
    })
}

/// What one pass over a response head found.
struct ResponseScan {
    length: usize,
    status: StatusCode,
    http_10: bool,
    fields: Fields,
}

fn scan_response(buffer: &[u8], limits: Limits) -> Result<Option<ResponseScan>, Error> {
    with_fields(limits, |fields| {
        let mut parsed = httparse::Response::new(&mut []);
        let parse = httparse::ParserConfig::default();
        let length = match parse.parse_response_with_uninit_headers(&mut parsed, buffer, fields) {
            Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
            Ok(httparse::Status::Partial) if buffer.len() <= limits.bytes => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(distrust("the response head is too large"));
            }
            Err(error) => return Err(distrust("the response head is malformed").because(error)),
        };
        if has_bare_lf(&buffer[..length]) {
            return Err(distrust("a response line that ends without CR"));
        }
        let mut fields = Fields::new(parsed.headers.len());
        for field in parsed.headers.iter() {
            fields.note(buffer, field).map_err(distrust)?;
        }
        Ok(Some(ResponseScan {
            length,
            status: StatusCode::from_u16(parsed.code.unwrap_or_default())
                .map_err(|_| distrust("the status is not one"))?,
            http_10: parsed.version == Some(0),
            fields,
        }))
    })
}

/// Gives `parse` room for as many fields as the limits allow, on the stack when they are few.
fn with_fields<'b, T>(
    limits: Limits,
    parse: impl FnOnce(&mut [MaybeUninit<httparse::Header<'b>>]) -> T,
) -> T {
    match limits.fields {
        few @ ..=FIELDS_ON_STACK => {
            let mut fields = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
            parse(&mut fields[..few])
        }
        many => {
            let mut fields = Vec::new();
            fields.resize_with(many, MaybeUninit::uninit);
            parse(&mut fields)
        }
    }
}

/// What is gathered in the one pass over a head's fields.
struct Fields {
    spans: Spans,
    framing: FramingHeaders,
    /// Spans of the one `Host`; more than one is refused.
    host: Option<(usize, usize)>,
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
    upgrades: bool,
    upgrade: Option<(usize, usize)>,
}

impl Fields {
    fn new(count: usize) -> Self {
        Fields {
            spans: Spans::with_capacity(count),
            framing: FramingHeaders::default(),
            host: None,
            expects_continue: false,
            close: false,
            keep_alive: false,
            upgrades: false,
            upgrade: None,
        }
    }

    fn note(&mut self, head: &[u8], field: &httparse::Header<'_>) -> Result<(), &'static str> {
        let (name, value) = (field.name.as_bytes(), field.value);
        if name.len() > MAX_NAME {
            return Err("a header name is too long");
        }
        let value_at = offset(head, value);
        self.spans
            .push(offset(head, name), name.len(), value_at, value.len());
        // The length settles nearly every comparison.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host")
                && self.host.replace((value_at, value.len())).is_some() =>
            {
                return Err("more than one Host");
            }
            6 if name.eq_ignore_ascii_case(b"expect") => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = Some((value_at, value.len()));
            }
            10 if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.framing.content_length(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.framing.transfer_encoding(value)?;
            }
            // Gateways that turn names into variables read an underscore as a hyphen.
            14 | 17 if names_framing_with_underscore(name) => {
                return Err("a header name that could be read as a framing header");
            }
            _ => {}
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|b| *b == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrades |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn keep_alive(&self, http_10: bool) -> bool {
        !self.close && (!http_10 || self.keep_alive)
    }

    fn into_request(
        self,
        received: Bytes,
        method: Method,
        target: usize,
        http_10: bool,
    ) -> Result<RequestHead, Error> {
        let framing = self.framing.of_request(http_10).map_err(refuse)?;
        let keep_alive = self.keep_alive(http_10);
        let host = match self.host {
            Some((start, len)) => parse_host(received.slice(start..start + len))?,
            None if http_10 => None,
            None => return Err(refuse("no Host")),
        };
        let length = received[target..]
            .iter()
            .position(|b| *b == b' ')
            .unwrap_or_default();
        let target = received.slice(target..target + length);
        let (authority, target) = parse_target(&method, target, host)?;

        let upgrade = match self.upgrade {
            Some((start, len)) if self.upgrades && !http_10 => {
                HeaderValue::from_bytes(&received[start..start + len])
                    .ok()
                    // RFC 9113 took this upgrade out of HTTP/2; forwarding it would open a second, unseen connection.
                    .filter(|protocol| !protocol.as_bytes().eq_ignore_ascii_case(b"h2c"))
            }
            _ => None,
        };
        if upgrade.is_some() && framing != Framing::None {
            return Err(refuse("an Upgrade with a body"));
        }
        if method == Method::CONNECT && (self.framing.has_length() || self.framing.is_chunked()) {
            return Err(refuse("a CONNECT with a body"));
        }
        Ok(RequestHead {
            method,
            authority,
            target,
            version: if http_10 {
                Version::HTTP_10
            } else {
                Version::HTTP_11
            },
            framing,
            keep_alive,
            expects_continue: self.expects_continue && !http_10 && framing != Framing::None,
            upgrade,
            headers: Headers::from_received(received, self.spans),
        })
    }
}

fn names_framing_with_underscore(name: &[u8]) -> bool {
    let reads_as = |other: &[u8]| {
        name.len() == other.len()
            && name
                .iter()
                .zip(other)
                .all(|(a, b)| a.eq_ignore_ascii_case(b) || *a == b'_' && *b == b'-')
    };
    name.contains(&b'_') && (reads_as(b"content-length") || reads_as(b"transfer-encoding"))
}

/// The forms of a request target (RFC 9112, section 3.2), and which authority counts.
fn parse_target(
    method: &Method,
    target: Bytes,
    host: Option<Authority>,
) -> Result<(Option<Authority>, PathAndQuery), Error> {
    let malformed = |_| refuse("malformed request target");
    // A fragment is never sent; the type would silently cut it off.
    if memchr::memchr(b'#', &target).is_some() {
        return Err(refuse("a fragment in the request target"));
    }
    if *method == Method::CONNECT {
        let authority = Authority::from_maybe_shared(target)
            .ok()
            .filter(|a| a.port().is_some() && !a.as_str().contains('@'))
            .ok_or_else(|| refuse("CONNECT needs a target of the form host:port"))?;
        return Ok((Some(authority), PathAndQuery::from_static("/")));
    }
    match target.first() {
        Some(b'/') => Ok((
            host,
            PathAndQuery::from_maybe_shared(target).map_err(malformed)?,
        )),
        Some(b'*') if target.len() == 1 && *method == Method::OPTIONS => {
            Ok((host, PathAndQuery::from_static("*")))
        }
        _ => {
            let uri = Uri::from_maybe_shared(target)
                .map_err(malformed)?
                .into_parts();
            let plain = uri
                .scheme
                .is_some_and(|s| s == Scheme::HTTP || s == Scheme::HTTPS);
            match uri.authority {
                Some(authority) if plain && !authority.as_str().contains('@') => {
                    let target = uri.path_and_query;
                    Ok((
                        Some(authority),
                        target.unwrap_or_else(|| PathAndQuery::from_static("/")),
                    ))
                }
                _ => Err(refuse("malformed request target")),
            }
        }
    }
}

fn parse_host(value: Bytes) -> Result<Option<Authority>, Error> {
    if value.is_empty() {
        return Ok(None);
    }
    match Authority::from_maybe_shared(value) {
        Ok(host) if !host.as_str().contains('@') => Ok(Some(host)),
        _ => Err(refuse("malformed Host")),
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

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}

fn distrust(why: &'static str) -> Error {
    Error::new(UPSTREAM_PROTOCOL_ERROR, why).at(crate::error::Progress::Answering)
}

/// Where `part`, a slice of `whole`, begins.
fn offset(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize)
        .wrapping_sub(whole.as_ptr() as usize)
        .min(whole.len())
}

/// Whether some line ends with LF alone, which lax readers take for an end of line and strict ones do not.
pub fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// Writes one field line.
pub fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Writes a field whose value is a number.
pub fn put_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    put_number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Writes every field but those that the codec makes itself: framing and connection options.
pub fn put_fields(out: &mut Vec<u8>, headers: &Headers, keep_length: bool) {
    for (name, value) in headers.iter() {
        let made_here = match name.len() {
            7 => name.eq_ignore_ascii_case(b"upgrade"),
            10 => {
                name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive")
            }
            14 => !keep_length && name.eq_ignore_ascii_case(b"content-length"),
            17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
            _ => false,
        };
        if !made_here {
            put_field(out, name, value);
        }
    }
}

/// Writes a status line.
pub fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
