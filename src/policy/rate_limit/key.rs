//! What a limit counts by.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use super::table::Id;
use crate::http::message::Request;
use crate::value::{Wrong, read_header_name};

/// `key`: requests with the same one share a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Key {
    /// One bucket for the whole route.
    #[default]
    Route,
    /// The caller's address. IPv6 callers count by their /64 network, because one caller usually has all of it.
    ClientIp,
    /// Who the caller has proven to be by its certificate.
    ClientIdentity,
    /// The value of a request header.
    Header(HeaderName),
    /// A claim of the caller's verified token.
    Claim(String),
}

impl FromStr for Key {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("route", "") => Ok(Key::Route),
            ("client-ip", "") => Ok(Key::ClientIp),
            ("client-identity", "") => Ok(Key::ClientIdentity),
            ("jwt", claim) if !claim.is_empty() => Ok(Key::Claim(claim.to_owned())),
            ("header", name) if !name.is_empty() => read_header_name(name).map(Key::Header),
            _ => Err(Wrong::new(format!("`{text}` is not a key")).help(
                "write \"route\", \"client-ip\", \"client-identity\", \"header:NAME\" or \
                 \"jwt:CLAIM\"",
            )),
        }
    }
}

impl TryFrom<String> for Key {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        text.parse()
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Route => f.write_str("route"),
            Key::ClientIp => f.write_str("client-ip"),
            Key::ClientIdentity => f.write_str("client-identity"),
            Key::Header(name) => write!(f, "header:{name}"),
            Key::Claim(name) => write!(f, "jwt:{name}"),
        }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> String {
        key.to_string()
    }
}

/// Turns what requests are counted by into numbers, in a way that callers cannot foresee.
#[derive(Clone)]
pub struct Secret {
    add: u64,
    /// Odd, so that multiplying by it keeps different numbers different.
    multiply: u64,
    hash: RandomState,
}

impl Default for Secret {
    fn default() -> Self {
        Secret {
            add: fastrand::u64(..),
            multiply: fastrand::u64(..) | 1,
            hash: RandomState::new(),
        }
    }
}

/// The address of callers without one: they share a bucket. It is a multicast network, from which nobody calls.
const NO_ADDRESS: u64 = u64::MAX;

/// What requests without a value count by.
const NO_VALUE: u64 = u64::MAX;

impl Secret {
    /// What `request` counts by.
    ///
    /// Where it has no such thing (a caller on a unix socket or without a certificate, a header that is missing,
    /// empty, or there more than once, so that nobody can tell which counts), it shares a bucket with all of its kind.
    pub fn id(&self, key: &Key, request: &Request) -> Id {
        match key {
            Key::Route => 0,
            Key::ClientIp => self.address(request.context.client),
            Key::Header(name) => {
                let mut values = request.headers.get_all(name);
                match (values.next(), values.next()) {
                    (value, None) => self.value(value),
                    _ => NO_VALUE,
                }
            }
            Key::ClientIdentity => {
                let identity = request.context.peer.identity();
                self.value(identity.map(|identity| identity.name().as_bytes()))
            }
            Key::Claim(name) => {
                let claims = request.context.claims.as_deref();
                let text = claims.and_then(|claims| claims.text(name));
                self.value(text.as_deref().map(str::as_bytes))
            }
        }
    }

    fn value(&self, value: Option<&[u8]>) -> Id {
        match value {
            Some(value) if !value.is_empty() => self.hash.hash_one(value),
            _ => NO_VALUE,
        }
    }

    /// A bijection, so no two addresses ever share a bucket.
    fn address(&self, client: Option<IpAddr>) -> Id {
        let number = match client {
            None => NO_ADDRESS,
            // IPv4 lies where IPv6 has no networks: 0::/32 is not given to anybody (RFC 4291, section 4).
            Some(IpAddr::V4(address)) => u64::from(address.to_bits()),
            Some(IpAddr::V6(address)) => (address.to_bits() >> 64) as u64,
        };
        let mixed = (number ^ self.add).wrapping_mul(self.multiply);
        mixed ^ (mixed >> 32)
    }
}
