//! The other end of a downstream connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

/// What is known of a caller's connection, for as long as it lasts.
#[derive(Debug)]
pub struct Peer {
    pub address: PeerAddress,
    /// Name of the listener that accepted it.
    pub listener: Arc<str>,
    /// Whether the connection is encrypted: `X-Forwarded-Proto` and the scheme of forwarded requests.
    pub encrypted: bool,
    /// What its certificate proved.
    pub identity: Option<Identity>,
    /// Where its messages come from, if requests deliver those.
    pub source: Option<Box<Source>>,
    /// Where the caller had connected to before the kernel redirected it to a transparent listener.
    pub original: Option<Box<SocketAddr>>,
}

/// What messages are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The kind of broker, in OpenTelemetry's words.
    pub system: &'static str,
    /// The broker's name in the config.
    pub broker: Box<str>,
    /// The queue, the stream or the topic.
    pub destination: Box<str>,
}

impl Peer {
    /// Who the caller has proven to be, by a certificate that was verified.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// Names that a verified certificate proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: Box<str>,
    spiffe: Option<Box<str>>,
    dns: Box<[Box<str>]>,
    subject: Box<str>,
    header: Option<HeaderValue>,
}

impl Identity {
    /// `subject` is a distinguished name (RFC 4514).
    pub fn new(spiffe: Option<&str>, dns: &[&str], subject: &str) -> Self {
        let name = match (spiffe, dns) {
            (Some(id), _) => id.to_owned(),
            (None, [first, ..]) => format!("dns:{first}"),
            (None, []) => format!("subject:{subject}"),
        };
        Identity {
            name: name.into(),
            spiffe: spiffe.map(Into::into),
            dns: dns.iter().map(|name| (*name).into()).collect(),
            subject: subject.into(),
            header: None,
        }
    }

    /// With the value of `x-forwarded-client-cert` that upstreams are to get.
    #[must_use]
    pub fn with_header(mut self, header: HeaderValue) -> Self {
        self.header = Some(header);
        self
    }

    pub fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// The one name to show and to count by: the SPIFFE ID; without one `dns:` and the first DNS name; without
    /// any `subject:` and the subject.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SPIFFE ID, when the certificate has exactly one (X.509-SVID, section 2).
    pub fn spiffe(&self) -> Option<&str> {
        self.spiffe.as_deref()
    }

    pub fn dns(&self) -> impl Iterator<Item = &str> {
        self.dns.iter().map(|name| &**name)
    }

    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Where a caller connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    Tcp(SocketAddr),
    /// Callers on a unix socket have no address.
    Unix,
}

impl PeerAddress {
    /// The IP address, with an IPv4-mapped IPv6 address shown as the IPv4 address that it is.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            PeerAddress::Tcp(address) => Some(address.ip().to_canonical()),
            PeerAddress::Unix => None,
        }
    }
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PeerAddress::Tcp(address) => address.fmt(f),
            PeerAddress::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_name_that_was_proven_is_shown() {
        let named = |spiffe, dns: &[&str]| Identity::new(spiffe, dns, "CN=app").name().to_owned();
        assert_eq!(named(Some("spiffe://td/app"), &["app"]), "spiffe://td/app");
        assert_eq!(named(None, &["app", "b"]), "dns:app");
        assert_eq!(named(None, &[]), "subject:CN=app");
    }
}
