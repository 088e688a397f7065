//! What a request is for: its target's form (RFC 9112, section 3.2), and which authority counts.

use std::net::Ipv6Addr;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};

use crate::http::error::{BAD_REQUEST, Error};

/// The authority that counts, and path and query. `host` is what the `Host` field says.
///
/// # Errors
/// `bad_request`
pub(super) fn parse(
    method: &Method,
    target: Bytes,
    host: Option<Authority>,
) -> Result<(Option<Authority>, PathAndQuery), Error> {
    // A fragment is never sent; the type would silently cut it off.
    if target.contains(&b'#') {
        return Err(refuse("a fragment in the request target"));
    }
    if *method == Method::CONNECT {
        let authority = Authority::from_maybe_shared(target)
            .ok()
            .filter(|a| is_sound(a) && a.port().is_some())
            .ok_or_else(|| refuse("CONNECT needs a target of the form host:port"))?;
        return Ok((Some(authority), PathAndQuery::from_static("/")));
    }
    match target.first() {
        Some(b'/') => Ok((host, path_and_query(target)?)),
        Some(b'*') if target.len() == 1 && *method == Method::OPTIONS => {
            Ok((host, PathAndQuery::from_static("*")))
        }
        _ => parse_absolute(method, target),
    }
}

/// Path and query; characters that many callers leave as they are, and no URI may hold, are percent-encoded.
pub fn path_and_query(target: Bytes) -> Result<PathAndQuery, Error> {
    PathAndQuery::from_maybe_shared(target.clone())
        .or_else(|_| PathAndQuery::from_maybe_shared(Bytes::from(encode(&target))))
        .map_err(|_| refuse("malformed request target"))
}

fn encode(target: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(target.len() + 16);
    for byte in target {
        match byte {
            b'"' => encoded.extend_from_slice(b"%22"),
            b'<' => encoded.extend_from_slice(b"%3C"),
            b'>' => encoded.extend_from_slice(b"%3E"),
            b'`' => encoded.extend_from_slice(b"%60"),
            other => encoded.push(*other),
        }
    }
    encoded
}

fn parse_absolute(
    method: &Method,
    target: Bytes,
) -> Result<(Option<Authority>, PathAndQuery), Error> {
    let malformed = || refuse("malformed request target");
    let uri = Uri::from_maybe_shared(target.clone())
        .map_err(|_| malformed())?
        .into_parts();
    let spoken = uri
        .scheme
        .is_some_and(|scheme| scheme == Scheme::HTTP || scheme == Scheme::HTTPS);
    let authority = uri
        .authority
        .filter(|authority| spoken && is_sound(authority))
        .ok_or_else(malformed)?;
    // RFC 9112 section 3.2.4: OPTIONS without a path is about the server as a whole.
    let has_path = !target.ends_with(authority.as_str().as_bytes());
    let path = if !has_path && *method == Method::OPTIONS {
        PathAndQuery::from_static("*")
    } else {
        uri.path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/"))
    };
    // The type keeps a query without a path as it came, and shows the path that is missing.
    let path = match path.as_str() {
        shown if shown.starts_with(['/', '*']) => path,
        bare => PathAndQuery::try_from(format!("/{bare}")).map_err(|_| malformed())?,
    };
    Ok((Some(authority), path))
}

/// Whether an authority is a host and perhaps a port, which the type alone does not ensure.
pub fn is_sound(authority: &Authority) -> bool {
    let text = authority.as_str();
    let (host_is_sound, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address.parse::<Ipv6Addr>().is_ok(), ""),
            Some((address, port)) => (
                address.parse::<Ipv6Addr>().is_ok() && port.starts_with(':'),
                port.trim_start_matches(':'),
            ),
            None => (false, ""),
        },
        None => {
            let end = text.bytes().position(|byte| b":@[]".contains(&byte));
            let end = end.unwrap_or(text.len());
            let port = match text.as_bytes().get(end) {
                None => "",
                Some(b':') => &text[end + 1..],
                Some(_) => return false,
            };
            (end > 0, port)
        }
    };
    host_is_sound
        && port.bytes().all(|b| b.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

fn refuse(why: &'static str) -> Error {
    Error::new(BAD_REQUEST, why)
}
