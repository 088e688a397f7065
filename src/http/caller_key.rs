//! By what a caller is known where all its requests are to have one fate: to go to the same endpoint, or the same side.
//!
//! Policies that have such a key too read its words here, as far as they have the same ones. What they take from the
//! request differs, and for a reason: a limit that is counted by a header must not take the first of several, and a token
//! may stand in quotes.

use std::fmt;
use std::net::IpAddr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::http::cookie;
use crate::http::message::Request;
use crate::value::{Wrong, read_header_name};

/// `"header:NAME"` or `"cookie:NAME"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Header(HeaderName),
    /// A cookie by its name, whose case counts.
    Cookie(String),
}

impl Field {
    /// Reads `text`. None if it begins with another word.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn read(text: &str) -> Option<Result<Self, Wrong>> {
        let (word, name) = text.split_once(':')?;
        match word {
            "header" => Some(read_header_name(name).map(Field::Header)),
            "cookie" if cookie::is_name(name) => Some(Ok(Field::Cookie(name.to_owned()))),
            "cookie" => Some(Err(format!("`{name}` is not a cookie name").into())),
            _ => None,
        }
    }

    /// The first value that the request has, unless it is empty: that says as little as none.
    fn first<'a>(&'a self, request: &'a Request) -> Option<&'a [u8]> {
        let first = match self {
            Field::Header(name) => request.headers.get(name),
            Field::Cookie(name) => cookie::values(&request.headers, name).next(),
        };
        first.filter(|value| !value.is_empty())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Header(name) => write!(f, "header:{name}"),
            Field::Cookie(name) => write!(f, "cookie:{name}"),
        }
    }
}

/// `"header:NAME"`, `"cookie:NAME"` or `"client-ip"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum CallerKey {
    Field(Field),
    ClientIp,
}

impl CallerKey {
    /// What `hash` makes of the request's key; None when it has none, or an empty one. The bytes are the same for the same
    /// caller in every worker, process and version, so that all sidecars of an application agree.
    pub fn of<T>(&self, request: &Request, hash: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self {
            CallerKey::Field(field) => field.first(request).map(hash),
            CallerKey::ClientIp => self.of_address(request.context.client?, hash),
        }
    }

    /// The same of a caller of whom the address is all that is known.
    pub fn of_address<T>(&self, client: IpAddr, hash: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match (self, client.to_canonical()) {
            (CallerKey::Field(_), _) => None,
            (CallerKey::ClientIp, IpAddr::V4(ip)) => Some(hash(&ip.octets())),
            (CallerKey::ClientIp, IpAddr::V6(ip)) => Some(hash(&ip.octets())),
        }
    }
}

impl TryFrom<String> for CallerKey {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        match Field::read(&text) {
            Some(field) => field.map(CallerKey::Field),
            None if text == "client-ip" => Ok(CallerKey::ClientIp),
            None => Err(Wrong::new(format!(
                "`{text}` is nothing that callers are told apart by here"
            ))
            .help("write \"header:NAME\", \"cookie:NAME\" or \"client-ip\"")),
        }
    }
}

impl From<CallerKey> for String {
    fn from(key: CallerKey) -> String {
        match key {
            CallerKey::Field(field) => field.to_string(),
            CallerKey::ClientIp => "client-ip".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};

    fn key(text: &str) -> CallerKey {
        text.to_owned().try_into().unwrap()
    }

    fn of(text: &str, fields: &[(&str, &str)]) -> Option<String> {
        let mut request = request("GET", "/");
        request.headers = headers(fields);
        key(text).of(&request, |bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn a_caller_is_known_by_the_first_value() {
        for (text, fields, expected) in [
            ("header:X-User", &[("x-user", "ann")][..], Some("ann")),
            (
                "header:x-user",
                &[("X-User", "a"), ("x-user", "b")],
                Some("a"),
            ),
            ("header:x-user", &[("x-other", "ann")], None),
            ("cookie:sid", &[("cookie", "a=b; sid=7=7")], Some("7=7")),
            ("cookie:sid", &[("cookie", "sid=1; sid=2")], Some("1")),
            ("cookie:sid", &[("cookie", "SID=1")], None),
        ] {
            assert_eq!(of(text, fields).as_deref(), expected, "{text} {fields:?}");
        }
    }

    #[test]
    fn an_empty_value_is_no_key() {
        for (text, fields) in [
            ("header:x-user", &[("x-user", "")][..]),
            ("header:x-user", &[("x-user", ""), ("x-user", "ann")]),
            ("cookie:sid", &[("cookie", "sid=")]),
            ("cookie:sid", &[("cookie", "sid=; a=b")]),
        ] {
            assert_eq!(of(text, fields), None, "{text} {fields:?}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_both_of_its_forms() {
        let by_address = key("client-ip");
        let mut request = request("GET", "/");
        let known_by = |request: &Request| by_address.of(request, <[u8]>::to_vec);
        assert_eq!(known_by(&request), None);
        request.context.client = Some("10.1.2.3".parse().unwrap());
        assert_eq!(known_by(&request), Some(vec![10, 1, 2, 3]));
        request.context.client = Some("::ffff:10.1.2.3".parse().unwrap());
        assert_eq!(known_by(&request), Some(vec![10, 1, 2, 3]));
    }

    #[test]
    fn keys_are_shown_as_they_were_written() {
        for text in ["header:x-user", "cookie:SID", "client-ip"] {
            assert_eq!(String::from(key(text)), text);
        }
        for text in [
            "",
            "user",
            "header",
            "header:",
            "header:a b",
            "cookie:",
            "cookie:a=b",
            "query:q",
            "client-ip:1",
        ] {
            assert!(CallerKey::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
