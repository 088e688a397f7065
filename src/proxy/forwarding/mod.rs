//! What every request and answer goes through: hop-by-hop headers, `X-Forwarded-*`, `Via`, the request id.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, header};
use ipnet::IpNet;

use crate::http::headers::{self, Headers, Name, Names};
use crate::http::message::{Request, RequestId};
use crate::http::peer::{Identity, Peer};
use crate::http::semantics::connection::HOP_BY_HOP;
use crate::http::semantics::te;
use crate::listener::{Config, ForwardedHeaders};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const VIA: HeaderValue = HeaderValue::from_static("1.1 outrigger");
/// What a mirror says of its copies.
const MIRRORED: Names = Names::new(&[headers::MIRRORED]);
static MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");
const HOPS: Names = Names::new(&["max-forwards"]);
const REQUEST_IDS: Names = Names::new(&["x-request-id"]);
const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
const CALLERS_CERTIFICATE: Names = Names::new(&["x-forwarded-client-cert"]);
/// A longer request id is replaced by one of ours: it goes into every log line.
const MAX_REQUEST_ID: usize = 128;

/// The request's id: the caller's if it is fit to be logged, or a new one.
pub fn request_id(headers: &Headers) -> RequestId {
    if !headers.may_have(&REQUEST_IDS) {
        return RequestId::new();
    }
    match headers.get_str(&REQUEST_ID) {
        Some(id)
            if (1..=MAX_REQUEST_ID).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_graphic()) =>
        {
            RequestId::kept(id)
        }
        _ => RequestId::new(),
    }
}

/// The caller's address: the peer's, unless the peer is a trusted proxy, which names the one before it.
///
/// `X-Forwarded-For` is read from the right, past every trusted proxy; what stands left of the first address that is
/// not trusted may be invented.
pub fn client_address(peer: &Peer, headers: &Headers, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    let mut client = peer.address.ip()?;
    if trusted.is_empty() || !is_trusted(client) {
        return Some(client);
    }
    let values: Vec<&[u8]> = headers.get_all(&FORWARDED_FOR).collect();
    let hops = values
        .iter()
        .rev()
        .flat_map(|value| value.rsplit(|b| *b == b','));
    for hop in hops {
        match parse_hop(hop) {
            Some(address) => client = address,
            None => break,
        }
        if !is_trusted(client) {
            break;
        }
    }
    Some(client)
}

fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| {
            text.parse::<std::net::SocketAddr>()
                .map(|address| address.ip())
        })
        .or_else(|_| text.trim_matches(['[', ']']).parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

/// Makes a caller's request ready for the policies: what was meant for this hop only is gone, what the proxy tells
/// about the caller is there.
#[inline(always)]
pub fn receive(request: &mut Request, listener: &Config) {
    if !listener.trusted_proxies.is_empty() {
        request.context.client = client_address(
            &request.context.peer,
            &request.headers,
            &listener.trusted_proxies,
        );
    }
    let trailers = te::accepts_trailers(&request.headers);
    remove_hop_by_hop(&mut request.headers);
    if trailers {
        request.headers.insert(&header::TE, &te::TRAILERS);
    }
    if request.headers.may_have(&HOPS) {
        count_hop(request);
    }
    // A mirror's word, unless it comes by way of a proxy that is believed.
    if request.headers.may_have(&MIRRORED) && !is_believed(&request.context.peer, listener) {
        request.headers.remove_all(&MIRRORED);
    }
    // Only a verified identity may speak of a certificate.
    request.headers.remove_all(&CALLERS_CERTIFICATE);
    let identity = request.context.peer.identity();
    if let Some(value) = identity.and_then(Identity::header) {
        request.headers.insert(&CLIENT_CERTIFICATE, value);
    }
    match listener.forwarded_headers() {
        ForwardedHeaders::Pass => {}
        ForwardedHeaders::Set => set_forwarded(request, listener),
        ForwardedHeaders::Remove => {
            for name in [
                &FORWARDED_FOR,
                &FORWARDED_PROTO,
                &FORWARDED_HOST,
                &header::FORWARDED,
            ] {
                request.headers.remove(name);
            }
        }
    }
    if listener.via {
        request.headers.append(&header::VIA, &VIA);
    }
    if let RequestId::Made(_) = &request.context.request_id {
        request
            .headers
            .insert_text(&REQUEST_ID, request.context.request_id.as_bytes());
    }
    agree_on_host(request);
}

/// Makes a request of our own ready for the policies: it has an id.
pub fn introduce(request: &mut Request) {
    let id = request.context.request_id.as_bytes();
    request.headers.insert_text(&REQUEST_ID, id);
}

/// RFC 9110, section 7.6.2: TRACE and OPTIONS say how often they may be forwarded. What is no number says nothing.
fn count_hop(request: &mut Request) {
    if !matches!(request.method, Method::TRACE | Method::OPTIONS) {
        return;
    }
    let left = request.headers.get_str(&MAX_FORWARDS);
    match left.and_then(|left| left.parse::<u64>().ok()) {
        Some(0) => request.context.ends_here = true,
        Some(left) => (request.headers).insert(&MAX_FORWARDS, &HeaderValue::from(left - 1)),
        None => {}
    }
}

/// Whether the peer is a proxy whose word about its callers counts.
fn is_believed(peer: &Peer, listener: &Config) -> bool {
    peer.address.ip().is_some_and(|ip| {
        listener
            .trusted_proxies
            .iter()
            .any(|network| network.contains(&ip))
    })
}

/// RFC 9112 section 3.2.2: a target with an authority overrules `Host`; the upstream sees one of them only.
fn agree_on_host(request: &mut Request) {
    let Some(authority) = &request.authority else {
        return;
    };
    let same = request
        .headers
        .find(&Name::HOST)
        .is_some_and(|host| host == authority.as_str().as_bytes());
    if !same && request.method != Method::CONNECT {
        set_host(&mut request.headers, authority);
    }
}

/// Writes `Host`.
pub fn set_host(headers: &mut Headers, authority: &Authority) {
    if let Ok(value) = HeaderValue::from_str(authority.as_str()) {
        headers.insert(&header::HOST, &value);
    }
}

/// Makes an upstream's answer ready for the caller.
pub fn send_back(headers: &mut Headers, listener: &Config) {
    remove_hop_by_hop(headers);
    if listener.via {
        headers.append(&header::VIA, &VIA);
    }
}

fn set_forwarded(request: &mut Request, listener: &Config) {
    let peer = &request.context.peer;
    let headers = &mut request.headers;
    let believed = is_believed(peer, listener);
    let mut chain = Vec::new();
    if believed {
        for value in headers.get_all(&FORWARDED_FOR) {
            chain.extend_from_slice(value);
            chain.extend_from_slice(b", ");
        }
    } else {
        headers.remove(&FORWARDED_PROTO);
        headers.remove(&FORWARDED_HOST);
        headers.remove(&header::FORWARDED);
    }
    match peer.address.ip() {
        Some(ip) => chain.extend_from_slice(ip.to_string().as_bytes()),
        None => chain.extend_from_slice(b"unknown"),
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)) {
        headers.insert(&FORWARDED_FOR, &value);
    }
    if !headers.contains(&FORWARDED_PROTO) {
        let scheme = if peer.encrypted { "https" } else { "http" };
        headers.insert(&FORWARDED_PROTO, &HeaderValue::from_static(scheme));
    }
    if !headers.contains(&FORWARDED_HOST)
        && let Some(authority) = &request.authority
        && let Ok(value) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(&FORWARDED_HOST, &value);
    }
}

/// Removes what was meant for this connection only (RFC 9110, section 7.6.1), and all that `Connection` names.
fn remove_hop_by_hop(headers: &mut Headers) {
    if !headers.may_have(&HOP_BY_HOP) {
        return;
    }
    let named = named_by_connection(headers);
    headers.remove_all(&HOP_BY_HOP);
    if !named.is_empty() {
        headers.retain(|name, _| !named.iter().any(|named| name.eq_ignore_ascii_case(named)));
    }
}

/// The headers that `Connection` names, beside those that are hop-by-hop anyway.
fn named_by_connection(headers: &Headers) -> Vec<Vec<u8>> {
    let known = |option: &&[u8]| {
        [&b"close"[..], b"keep-alive", b"upgrade", b"te", b""]
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known))
    };
    // Host is not the sender's to take away.
    let is_host = |option: &&[u8]| option.eq_ignore_ascii_case(b"host");
    // What it says nearly always, it says alone.
    let is_usual = |value: &[u8]| {
        value.eq_ignore_ascii_case(b"close") || value.eq_ignore_ascii_case(b"keep-alive")
    };
    let mut named = Vec::new();
    for value in headers.get_all(&header::CONNECTION) {
        if !is_usual(value) {
            let options = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
            let others = options.filter(|option| !known(option) && !is_host(option));
            named.extend(others.map(<[u8]>::to_owned));
        }
    }
    named
}

#[cfg(test)]
mod tests;
