//! A header block to a request (RFC 9113, section 8.3.1).
//!
//! What the standard calls malformed resets the stream. What is sound and refused all the same, as two parties could
//! read it differently, is answered.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Version, header};

use crate::codec::h1::head;
use crate::codec::h2::fields;
use crate::codec::h2::frame::Fault;
use crate::codec::h2::hpack::decode::{Block, Field};
use crate::codec::h2::hpack::name::Name;
use crate::http::error::{BAD_REQUEST, Error, HEADERS_TOO_LARGE};
use crate::http::grpc::Dialect;
use crate::http::headers::{Headers, Spans};
use crate::http::message::Outline;
use crate::http::semantics::expect;

/// A request head that passed every rule.
pub struct RequestHead {
    pub method: Method,
    pub authority: Option<Authority>,
    pub target: PathAndQuery,
    pub headers: Headers,
}

/// What a header block holds.
pub(super) struct Read {
    /// Or why it is refused, with its outline.
    pub head: Result<RequestHead, Error>,
    pub is_head: bool,
    pub is_grpc: bool,
    pub expects_continue: bool,
    /// Bytes of content that it announces.
    pub length: Option<u64>,
}

/// Reads a request's head.
///
/// # Errors
/// It is malformed.
pub(super) fn read(block: &mut Block, max_headers: usize) -> Result<Read, Fault> {
    let fields = Fields::gather(block)?;
    let method = match fields.method {
        Some(method) => Some(
            Method::from_bytes(method.value(&block.bytes))
                .map_err(|_| Fault::malformed("a method that is none"))?,
        ),
        None => None,
    };
    let mut read = Read {
        is_head: method == Some(Method::HEAD),
        is_grpc: fields.is_grpc,
        expects_continue: fields.expects_continue,
        length: fields.length,
        head: match (block.too_large, method) {
            (true, _) => Err(Error::new(
                HEADERS_TOO_LARGE,
                "the request head is larger than this listener allows",
            )),
            (false, None) => return Err(Fault::malformed("no :method")),
            (false, Some(method)) => {
                fields.check_pseudo(block, &method)?;
                fields.into_head(block, method, max_headers)
            }
        },
    };
    if read.head.is_err() {
        read.head = read.head.map_err(|error| error.of_head(outline(block)));
    }
    Ok(read)
}

/// What can be told of a request that is refused.
pub(super) fn outline(block: &Block) -> Outline {
    let mut outline = Outline {
        version: Some(Version::HTTP_2),
        ..Outline::default()
    };
    for field in &block.fields {
        let value = field.value(&block.bytes);
        match field.name {
            Name::Method => outline.method = Method::from_bytes(value).ok(),
            Name::Path => outline.note_target(value),
            Name::Authority => {
                let authority = Authority::try_from(value).ok();
                outline.authority = authority.filter(head::is_sound);
            }
            name if name.is_pseudo() => {}
            _ => outline.note_field(field.name(&block.bytes), value),
        }
    }
    if !block.dropped_type.is_empty() {
        outline.note_field(
            header::CONTENT_TYPE.as_str().as_bytes(),
            &block.dropped_type,
        );
    }
    outline
}

/// What is gathered in the one pass over a block.
#[derive(Default)]
struct Fields {
    method: Option<Field>,
    scheme: Option<Field>,
    authority: Option<Field>,
    path: Option<Field>,
    host: Option<Field>,
    regular: usize,
    cookies: usize,
    length: Option<u64>,
    is_grpc: bool,
    expects_continue: bool,
    refused: Option<&'static str>,
}

impl Fields {
    fn gather(block: &Block) -> Result<Self, Fault> {
        let mut fields = Fields::default();
        for field in &block.fields {
            fields.note(field, &block.bytes)?;
        }
        Ok(fields)
    }

    fn note(&mut self, field: &Field, bytes: &[u8]) -> Result<(), Fault> {
        let value = field.value(bytes);
        fields::check(field.name, value, field.sound)?;
        let pseudo = match field.name {
            Name::Method => &mut self.method,
            Name::Scheme => &mut self.scheme,
            Name::Authority => &mut self.authority,
            Name::Path => &mut self.path,
            Name::Status | Name::OtherPseudo => {
                return Err(Fault::malformed("a pseudo-header that no request has"));
            }
            _ => {
                self.regular += 1;
                return self.note_regular(field, value);
            }
        };
        if self.regular > 0 {
            return Err(Fault::malformed("a pseudo-header behind other fields"));
        }
        match pseudo.replace(*field) {
            None => Ok(()),
            Some(_) => Err(Fault::malformed("a pseudo-header that comes twice")),
        }
    }

    fn note_regular(&mut self, field: &Field, value: &[u8]) -> Result<(), Fault> {
        match field.name {
            Name::Cookie => self.cookies += 1,
            Name::ContentLength if self.length.replace(fields::length(value)?).is_some() => {
                return Err(Fault::malformed("more than one Content-Length"));
            }
            Name::ContentType => self.is_grpc |= Dialect::of(value) == Dialect::Grpc,
            Name::Expect => {
                self.expects_continue |= expect::is_continue(value);
            }
            Name::Host if self.host.replace(*field).is_some() => {
                self.refused = Some("more than one Host");
            }
            // The next hop may speak HTTP/1.1.
            Name::FramingLookalike => {
                self.refused = Some("a header name that could be read as a framing header");
            }
            _ => {}
        }
        Ok(())
    }

    fn check_pseudo(&self, block: &Block, method: &Method) -> Result<(), Fault> {
        let value = |field: &Option<Field>| field.as_ref().map(|field| field.value(&block.bytes));
        let (scheme, path) = (value(&self.scheme), value(&self.path));
        if *method == Method::CONNECT {
            // RFC 9113, section 8.5.
            return match (scheme, path, &self.authority) {
                (None, None, Some(_)) => Ok(()),
                _ => Err(Fault::malformed("a CONNECT of another form")),
            };
        }
        if !scheme.is_some_and(is_scheme) {
            return Err(Fault::malformed("no :scheme, or none that is one"));
        }
        match path {
            Some([b'/', ..]) => Ok(()),
            Some(b"*") if *method == Method::OPTIONS => Ok(()),
            _ => Err(Fault::malformed("no :path, or none that is one")),
        }
    }

    fn into_head(
        self,
        block: &mut Block,
        method: Method,
        max_headers: usize,
    ) -> Result<RequestHead, Error> {
        if method == Method::CONNECT {
            return Err(refuse("CONNECT over HTTP/2 is not built yet"));
        }
        if method
            .as_str()
            .bytes()
            .any(|byte| byte.is_ascii_lowercase())
        {
            return Err(refuse(head::LOWER_CASE_METHOD));
        }
        if let Some(why) = self.refused {
            return Err(refuse(why));
        }
        // Crumbs of a cookie count as one field.
        if self.regular - self.cookies.saturating_sub(1) > max_headers {
            return Err(Error::new(
                HEADERS_TOO_LARGE,
                "the request has more header fields than this listener allows",
            ));
        }
        let spans = spans(block, &self);
        let received = Bytes::copy_from_slice(&block.bytes);
        let authority = authority(&received, self.authority, self.host)?;
        let target = match self.path {
            Some(path) => target(received.slice(path.value_at()..path.value_end()))?,
            None => PathAndQuery::from_static("/"),
        };
        Ok(RequestHead {
            method,
            authority,
            target,
            headers: Headers::from_received(received, spans),
        })
    }
}

/// Where the fields lie, but for pseudo-headers.
///
/// HTTP/2 may cut `Cookie` into crumbs; whoever does not speak it must see one field (RFC 9113, section 8.2.3).
fn spans(block: &mut Block, fields: &Fields) -> Spans {
    let mut spans = Spans::with_capacity(fields.regular);
    let crumbled = fields.cookies > 1;
    for field in &block.fields {
        let left_out = crumbled && field.name == Name::Cookie;
        if !field.name.is_pseudo() && !left_out {
            spans.push_line(
                field.name(&block.bytes),
                field.at as usize,
                field.value_at(),
                field.value_len as usize,
                field.end(),
            );
        }
    }
    if crumbled {
        let name = header::COOKIE.as_str();
        let at = block.bytes.len();
        block.bytes.extend_from_slice(name.as_bytes());
        block.bytes.extend_from_slice(b": ");
        let value_at = block.bytes.len();
        for crumb in block.fields.iter().filter(|f| f.name == Name::Cookie) {
            if block.bytes.len() > value_at {
                block.bytes.extend_from_slice(b"; ");
            }
            block
                .bytes
                .extend_from_within(crumb.value_at()..crumb.value_end());
        }
        spans.push(name.as_bytes(), at, value_at, block.bytes.len() - value_at);
    }
    spans
}

/// `Host` and `:authority` must not contradict each other (RFC 9113, section 8.3.1).
fn authority(
    received: &Bytes,
    authority: Option<Field>,
    host: Option<Field>,
) -> Result<Option<Authority>, Error> {
    let host = host.filter(|host| host.value_len > 0);
    let (field, malformed) = match (authority, host) {
        (Some(authority), Some(host))
            if !authority
                .value(received)
                .eq_ignore_ascii_case(host.value(received)) =>
        {
            return Err(refuse("Host and :authority contradict each other"));
        }
        (Some(authority), _) => (authority, "malformed :authority"),
        (None, Some(host)) => (host, "malformed Host"),
        (None, None) => return Ok(None),
    };
    let text = received.slice(field.value_at()..field.value_end());
    match Authority::from_maybe_shared(text) {
        Ok(authority) if head::is_sound(&authority) => Ok(Some(authority)),
        _ => Err(refuse(malformed)),
    }
}

fn target(path: Bytes) -> Result<PathAndQuery, Error> {
    // A fragment is never sent; the type would silently cut it off.
    match memchr::memchr(b'#', &path) {
        Some(_) => Err(refuse("a fragment in the request target")),
        None => head::path_and_query(path),
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    scheme.first().is_some_and(u8::is_ascii_alphabetic) && scheme.iter().all(is_part)
}

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}

#[cfg(test)]
mod tests;
