//! From a message to the request that delivers it.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use tokio::time::Instant;

use crate::broker::{self, Delivery, Message};
use crate::http::body::Body;
use crate::http::headers::Headers;
use crate::http::message::{Context, Request, RequestId};
use crate::http::peer::{Peer, PeerAddress, Source};

/// What a message says of the connection, of its framing or of who sent it means nothing here, or something else.
const NOT_TAKEN: [&str; 16] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];
/// The same of all names that begin like this.
const NOT_TAKEN_FAMILIES: [&str; 2] = ["outrigger-", "x-forwarded-"];
/// The most headers that a request has from its message, and the most bytes of them. No server takes more either.
const MOST_HEADERS: usize = 1000;
const MOST_BYTES: usize = 256 << 10;

/// Makes the requests of one subscription.
pub(super) struct Requests {
    peer: Arc<Peer>,
    path: PathAndQuery,
}

impl Requests {
    /// `name` is the subscription's, and `source` where of `broker` its messages come from.
    pub fn new(name: &str, path: &str, broker: &str, source: &broker::Source) -> Self {
        Requests {
            peer: Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: format!("subscriptions.{name}").into(),
                encrypted: false,
                identity: None,
                source: Some(Box::new(Source {
                    system: source.kind().system(),
                    broker: broker.into(),
                    destination: source.name().into(),
                })),
                original: None,
            }),
            path: path.parse().unwrap_or(PathAndQuery::from_static("/")),
        }
    }

    /// The request that delivers a message: its body as it is, its content type, its headers, and what is known of it.
    /// None when its headers are too many, or too large.
    pub fn of(&self, delivery: &Delivery) -> Option<Box<Request>> {
        let message = &delivery.message;
        let size = |(name, value): &(String, String)| name.len() + value.len();
        let bytes: usize = message.headers.iter().map(size).sum();
        if message.headers.len() > MOST_HEADERS || bytes > MOST_BYTES {
            return None;
        }
        let mut headers = HeaderMap::with_capacity(message.headers.len() + 5);
        headers.insert(header::HOST, HeaderValue::from_static("localhost"));
        insert(
            &mut headers,
            header::CONTENT_TYPE,
            message.content_type.as_deref(),
        );
        for (name, value) in &message.headers {
            if let Some(name) = taken(name)
                && let Ok(value) = HeaderValue::from_str(value)
            {
                headers.append(name, value);
            }
        }
        let known = |name| HeaderName::from_static(name);
        insert(
            &mut headers,
            known("outrigger-message-id"),
            Some(&message.id),
        );
        headers.insert(known("outrigger-attempt"), delivery.attempt.into());
        let redelivered = HeaderValue::from_static(if delivery.redelivered {
            "true"
        } else {
            "false"
        });
        headers.insert(known("outrigger-redelivered"), redelivered);
        let peer = self.peer.clone();
        let context = Context {
            can_wait: true,
            ..Context::new(peer, "".into(), RequestId::new(), Instant::now())
        };
        Some(Box::new(Request {
            method: Method::POST,
            authority: None,
            target: self.path.clone(),
            version: Version::HTTP_11,
            headers: Headers::from(headers),
            body: Body::full(message.body.clone()),
            upgrade: None,
            context,
        }))
    }
}

/// The header of that name, if a message may bring it.
fn taken(name: &str) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    let lower = name.as_str();
    let refused = NOT_TAKEN.contains(&lower)
        || NOT_TAKEN_FAMILIES
            .iter()
            .any(|family| lower.starts_with(family));
    (!refused).then_some(name)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
        headers.insert(name, value);
    }
}

/// By what the message is alike with those that it must not overtake.
pub(super) fn order_key(by: &super::OrderedBy, delivery: &Delivery) -> Option<String> {
    let header = |message: &Message, name: &str| message.header(name).map(str::to_owned);
    match by {
        super::OrderedBy::Key => delivery.key.clone(),
        super::OrderedBy::Header(name) => header(&delivery.message, name),
    }
}
