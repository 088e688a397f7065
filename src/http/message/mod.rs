//! Request and response, as policies see them, whatever protocol carried them.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;

use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::http::body::Body;
use crate::http::grpc::Dialect;
use crate::http::headers::{Headers, Name};
use crate::http::peer::{Peer, PeerAddress};
use crate::net::io::Io;
use crate::trace::Trace;

mod captures;
mod claims;
mod outline;
mod served_by;
mod tried;
mod tunnelled;
mod upload;
mod values;

pub use captures::Captures;
pub use claims::Claims;
pub use outline::Outline;
pub use served_by::ServedBy;
pub use tried::Tried;
pub use tunnelled::Tunnelled;
pub use upload::Upload;

/// A request on its way to the upstream.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// From the request target or `Host`, whichever RFC 9112 section 3.2.2 says counts.
    pub authority: Option<Authority>,
    /// Normalised once before matching, so that what is judged is what is forwarded. For `OPTIONS *` it is `*`.
    pub target: PathAndQuery,
    /// The version in which the caller spoke.
    pub version: Version,
    pub headers: Headers,
    pub body: Body,
    /// The protocol that the caller wants to switch to; never one by which HTTP itself goes on.
    pub upgrade: Option<http::HeaderValue>,
    pub context: Context,
}

/// What the proxy knows of a request beside its bytes.
#[derive(Clone, Debug)]
pub struct Context {
    pub peer: Arc<Peer>,
    /// The caller's address: the peer's, or what a trusted proxy says it is. None on a unix socket.
    pub client: Option<IpAddr>,
    /// Name of the route that was chosen; empty until then.
    pub route: Arc<str>,
    /// What the route's `{name}` segments matched.
    pub captures: Captures,
    pub request_id: RequestId,
    /// When the request's head was complete.
    pub received: Instant,
    /// The caller, where its protocol has interim answers (103 and its like).
    pub interim: Option<Arc<dyn Interim>>,
    /// Where it stands in a trace.
    pub trace: Trace,
    /// The upstream that will get the request, where a value of the route names it.
    pub upstream: Option<Arc<str>>,
    /// What the caller's token says, once it is verified.
    pub claims: Option<Arc<Claims>>,
    /// Its `Max-Forwards` is used up: whoever would forward it answers it.
    pub ends_here: bool,
    /// Whoever sent it can wait: it is not tried with an endpoint that is not healthy, where there is no other.
    pub can_wait: bool,
}

impl Context {
    /// Of a request of which no more is known yet than who sent it. `unnamed` is the empty name of its route.
    #[inline]
    pub fn new(
        peer: Arc<Peer>,
        unnamed: Arc<str>,
        request_id: RequestId,
        received: Instant,
    ) -> Self {
        Context {
            client: peer.address.ip(),
            peer,
            route: unnamed,
            captures: Captures::default(),
            request_id,
            received,
            interim: None,
            trace: Trace::Unknown,
            upstream: None,
            claims: None,
            ends_here: false,
            can_wait: false,
        }
    }

    /// Of a request that the proxy makes itself.
    pub fn of_our_own() -> Self {
        let peer = Peer {
            address: PeerAddress::Unix,
            listener: "".into(),
            encrypted: false,
            identity: None,
            source: None,
            original: None,
        };
        Context::new(Arc::new(peer), "".into(), RequestId::new(), Instant::now())
    }
}

impl Request {
    /// The same request with an empty body.
    pub fn without_body(&self) -> Box<Request> {
        Box::new(Request {
            method: self.method.clone(),
            authority: self.authority.clone(),
            target: self.target.clone(),
            version: self.version,
            headers: self.headers.clone(),
            body: Body::empty(),
            upgrade: self.upgrade.clone(),
            context: self.context.clone(),
        })
    }

    /// How the caller reads what became of its call.
    pub fn dialect(&self) -> Dialect {
        let content_type = self.headers.find(&Name::CONTENT_TYPE);
        content_type.map_or(Dialect::Http, Dialect::of)
    }

    /// Whether the caller speaks gRPC itself, which is not that of browsers: it needs trailers.
    pub fn is_grpc(&self) -> bool {
        self.dialect() == Dialect::Grpc
    }
}

/// Whether a `Content-Type` is that of messages in frames, and not of one document, whatever form the messages have:
/// gRPC, that of browsers, and streams of Connect.
pub fn is_framed(content_type: &[u8]) -> bool {
    Dialect::of(content_type).is_grpc() || content_type.starts_with(b"application/connect+")
}

/// The caller of an exchange whose answer has not begun.
pub trait Interim: Send + Sync {
    /// Takes a 1xx answer to the caller.
    fn send(&self, status: StatusCode, headers: &Headers);

    /// Completes once nobody needs to wait for the caller's body to be asked for by `100 Continue`: some of it is
    /// here, or was asked for already.
    fn poll_body_begun(&self, cx: &mut std::task::Context<'_>) -> Poll<()>;
}

impl std::fmt::Debug for dyn Interim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interim")
    }
}

/// An answer on its way to the caller.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub version: Version,
    pub headers: Headers,
    pub body: Body,
    /// After a 101, or a 2xx to CONNECT: the connection whose raw bytes follow.
    pub upgrade: Option<Box<Upgraded>>,
    /// Who answered, when an upstream did.
    pub served_by: Option<ServedBy>,
    /// Names why, when the proxy itself made this answer out of a failure.
    pub refused: Option<crate::http::error::Reason>,
    /// When the exchange must be over, for a caller who does not take what is ready for it.
    pub deadline: Option<Instant>,
}

/// A connection to an upstream that has switched protocols.
#[derive(Debug)]
pub struct Upgraded {
    pub io: Io,
    /// Bytes that arrived behind the head.
    pub early: bytes::Bytes,
    /// The protocol that the upstream switched to; `None` behind CONNECT.
    pub protocol: Option<http::HeaderValue>,
    /// How long neither side may send anything.
    pub idle_limit: Option<std::time::Duration>,
    pub passed: Arc<Tunnelled>,
}

impl Response {
    pub fn new(status: StatusCode, body: Body) -> Self {
        Response {
            status,
            version: Version::HTTP_11,
            headers: Headers::new(),
            body,
            upgrade: None,
            served_by: None,
            refused: None,
            deadline: None,
        }
    }
}

/// `X-Request-Id`: the caller's, or a UUIDv7 made here (RFC 9562, section 5.7).
#[derive(Clone)]
pub enum RequestId {
    /// Text of 36 bytes, made by us.
    Made([u8; 36]),
    /// As the caller sent it: visible ASCII. Other requests may have the same, so there is what tells this one apart.
    Kept(Box<str>, [u8; 16]),
}

impl RequestId {
    /// A new one: time-ordered, its random part not fit for secrets.
    pub fn new() -> Self {
        RequestId::Made(text_of(uuid_v7_of_now()))
    }

    /// The caller's: visible ASCII.
    pub fn kept(text: &str) -> Self {
        RequestId::Kept(text.into(), uuid_v7_of_now().to_be_bytes())
    }

    pub fn as_bytes(&self) -> &[u8] {
        match self {
            RequestId::Made(text) => text,
            RequestId::Kept(text, _) => text.as_bytes(),
        }
    }

    /// A UUIDv7 that no other request has, whatever its caller says, and that is the same whenever it is sent again.
    pub fn unique(&self) -> String {
        String::from_utf8_lossy(&self.uuid()).into_owned()
    }

    /// The same, as the bytes of its text.
    pub fn uuid(&self) -> [u8; 36] {
        match self {
            RequestId::Made(text) => *text,
            RequestId::Kept(_, uuid) => text_of(u128::from_be_bytes(*uuid)),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            RequestId::Made(text) => std::str::from_utf8(text).unwrap_or_default(),
            RequestId::Kept(text, _) => text,
        }
    }
}

fn uuid_v7_of_now() -> u128 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = now.as_secs() * 1000 + u64::from(now.subsec_millis());
    uuid_v7(millis, fastrand::u128(..))
}

/// 48 bits of time, the version, 12 random bits, the variant, 62 random bits.
fn uuid_v7(millis: u64, random: u128) -> u128 {
    const RANDOM: u128 = 0xfff << 64 | u128::MAX >> 66;
    u128::from(millis) << 80 | 7 << 76 | 2 << 62 | random & RANDOM
}

fn text_of(id: u128) -> [u8; 36] {
    /// Where the digits of each byte stand, between the hyphens.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut text = [b'-'; 36];
    for (byte, place) in id.to_be_bytes().into_iter().zip(PLACES) {
        let [high, low] = DIGITS[usize::from(byte)];
        text[place] = high;
        text[place + 1] = low;
    }
    text
}

/// The two hexadecimal digits of each byte.
static DIGITS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut all = [[0; 2]; 256];
    let mut byte = 0;
    while byte < all.len() {
        all[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    all
};

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_id_is_a_uuid_of_version_7() {
        // The example of RFC 9562, appendix A.6.
        let random = 0xcc3 << 64 | 0x18c4_dc0c_0c07_398f;
        let text = text_of(uuid_v7(0x017f_22e2_79b0, random));
        assert_eq!(&text, b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        let ids = [RequestId::new(), RequestId::new()];
        assert_ne!(ids[0].as_str(), ids[1].as_str());
        let last = text_of(uuid_v7(u64::MAX >> 16, u128::MAX));
        assert_eq!(last[14..15], *b"7");
    }

    #[test]
    fn a_request_is_told_apart_from_others_that_callers_name_alike() {
        let (made, kept) = (RequestId::new(), RequestId::kept("a"));
        assert_eq!(made.unique(), made.as_str());
        assert_eq!(kept.unique(), kept.clone().unique());
        assert_ne!(kept.unique(), RequestId::kept("a").unique());
        assert_eq!(kept.unique().as_bytes()[14], b'7');
        assert_eq!(kept.as_str(), "a");
        assert!(size_of::<RequestId>() <= 40);
    }
}
