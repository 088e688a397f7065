//! What of a request decides where it goes, when requests of one caller must go to the same place.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderName, header};
use serde::{Deserialize, Serialize, Serializer};

use crate::http::message::Request;
use crate::value::Wrong;

/// Where a caller's hash key comes from: `"header:NAME"`, `"cookie:NAME"` or `"client-ip"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    Header(HeaderName),
    Cookie(String),
    ClientIp,
}

impl HashKey {
    /// The key of `request`; None when it lacks what the key comes from. The same for the same caller in every
    /// worker, process and version, so that all sidecars of an application agree.
    pub fn of(&self, request: &Request) -> Option<u64> {
        match self {
            HashKey::Header(name) => request.headers.get(name).map(hash),
            HashKey::Cookie(name) => request
                .headers
                .get_all(&header::COOKIE)
                .find_map(|cookies| cookie(cookies, name.as_bytes()))
                .map(hash),
            HashKey::ClientIp => match request.context.client?.to_canonical() {
                IpAddr::V4(ip) => Some(hash(&ip.octets())),
                IpAddr::V6(ip) => Some(hash(&ip.octets())),
            },
        }
    }
}

/// The value of cookie `name` in a `Cookie` field (RFC 6265, section 4.2.1).
fn cookie<'a>(cookies: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    cookies
        .split(|&b| b == b';')
        .find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

/// FNV-1a, its bits then mixed: FNV alone leaves the high bits of short keys much alike.
pub fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, &b| {
        (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// Spreads every bit of `x` over all bits: the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable
/// pseudorandom number generators", 2014).
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl FromStr for HashKey {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.split_once(':') {
            None if text == "client-ip" => Ok(HashKey::ClientIp),
            Some(("header", name)) => name
                .parse()
                .map(HashKey::Header)
                .map_err(|_| crate::value::template::not_a_header_name(name)),
            // A cookie's name is a token, as a header's is.
            Some(("cookie", name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(_) => Ok(HashKey::Cookie(name.to_owned())),
                Err(_) => Err(format!("`{name}` is not a name of a cookie").into()),
            },
            _ => Err(Wrong::new(format!("`{text}` is not something to hash by"))
                .help("write \"header:NAME\", \"cookie:NAME\" or \"client-ip\"")),
        }
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HashKey::Header(name) => write!(f, "header:{name}"),
            HashKey::Cookie(name) => write!(f, "cookie:{name}"),
            HashKey::ClientIp => f.write_str("client-ip"),
        }
    }
}

impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fake::request;
    use http::HeaderValue;

    fn key(text: &str, request: &Request) -> Option<u64> {
        text.parse::<HashKey>().unwrap().of(request)
    }

    fn with(name: HeaderName, values: &[&'static str]) -> Request {
        let mut request = request();
        for value in values {
            request
                .headers
                .append(&name, &HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn a_header_is_hashed_by_its_value() {
        let name = HeaderName::from_static("x-user");
        let ann = key("header:X-User", &with(name.clone(), &["ann"]));
        assert_eq!(ann, Some(hash(b"ann")));
        assert_ne!(ann, key("header:x-user", &with(name, &["bob"])));
        assert_eq!(key("header:x-user", &request()), None);
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let of = |values: &[&'static str]| key("cookie:sid", &with(header::COOKIE, values));
        let found = Some(hash(b"7=7"));
        assert_eq!(of(&["sid=7=7"]), found);
        assert_eq!(of(&["a=1; sid=7=7; b=2"]), found);
        assert_eq!(of(&["a=1", "sid=7=7"]), found);
        assert_eq!(of(&["xsid=7=7; Sid=8; a=sid=9"]), None);
    }

    #[test]
    fn an_address_is_the_same_in_both_of_its_forms() {
        let mut request = request();
        assert_eq!(key("client-ip", &request), None);
        request.context.client = Some("10.1.2.3".parse().unwrap());
        let plain = key("client-ip", &request);
        request.context.client = Some("::ffff:10.1.2.3".parse().unwrap());
        assert!(plain.is_some());
        assert_eq!(key("client-ip", &request), plain);
    }

    #[test]
    fn keys_read_back_as_they_were_written() {
        for text in ["header:x-user", "cookie:SID", "client-ip"] {
            assert_eq!(text.parse::<HashKey>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "header",
            "header:",
            "header:a b",
            "cookie:",
            "cookie:a=b",
            "query:q",
        ] {
            assert!(text.parse::<HashKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn hashes_stay_as_they_are() {
        // Sidecars of different versions must send a caller to the same place.
        assert_eq!(hash(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    }
}
