//! `host` of a `match`, read, and the host of a request to compare with it.

use std::io::Write;
use std::net::Ipv6Addr;

use crate::value::Wrong;
use serde::{Deserialize, Serialize};

/// A `host`: exact, or `*.suffix` for every name below the suffix. Held in lower case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    Exact(String),
    /// Without the `*.`.
    Suffix(String),
}

impl TryFrom<String> for HostPattern {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        if text == "*" {
            return Err(
                Wrong::new("`*` is not a host").help("leave `host` out to match every host")
            );
        }
        if text.starts_with('[') {
            let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            return match inner.and_then(|t| t.parse::<Ipv6Addr>().ok()) {
                Some(address) => Ok(HostPattern::Exact(format!("[{address}]"))),
                None => Err(Wrong::new(format!("`{text}` is not an IPv6 address"))
                    .help("the port is ignored, leave it out")),
            };
        }
        if text.contains("://") {
            return Err(Wrong::new(format!("`{text}` is a URL")).help("write the host alone"));
        }
        if text.contains(':') {
            return Err(match text.parse::<Ipv6Addr>() {
                Ok(_) => Wrong::new("an IPv6 address stands in brackets")
                    .help(format!("write \"[{text}]\"")),
                Err(_) => Wrong::new(format!("`{text}` has a port"))
                    .help("ports are ignored, leave it out"),
            });
        }
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_suffix('.').unwrap_or(&lower);
        let (suffix, wildcard) = match name.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (name, false),
        };
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let good = |label: &str| !label.is_empty() && label.bytes().all(inner);
        if !suffix.split('.').all(good) || suffix.len() > MAX_HOST {
            return Err(Wrong::new(format!("`{text}` is not a host name")).help(
                "write labels of letters, digits, `-` and `_`, `*.` only in \
                 front, other scripts in their `xn--` form",
            ));
        }
        Ok(if wildcard {
            HostPattern::Suffix(suffix.to_owned())
        } else {
            HostPattern::Exact(suffix.to_owned())
        })
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        match pattern {
            HostPattern::Exact(host) => host,
            HostPattern::Suffix(suffix) => format!("*.{suffix}"),
        }
    }
}

/// The longest host that is looked up: names end at 253 bytes (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// A host of a request in the form of [`HostPattern`], on the stack.
pub(super) struct HostKey {
    bytes: [u8; MAX_HOST],
    len: usize,
}

impl HostKey {
    /// Ignores a port and one final dot. None for what no pattern can name.
    pub(super) fn new(host: &str) -> Option<HostKey> {
        let mut key = HostKey {
            bytes: [0; MAX_HOST],
            len: 0,
        };
        if let Some(literal) = host.strip_prefix('[') {
            let address: Ipv6Addr = literal.split_once(']')?.0.parse().ok()?;
            let mut free = &mut key.bytes[..];
            write!(free, "[{address}]").ok()?;
            key.len = MAX_HOST - free.len();
            return Some(key);
        }
        let name = host.split_once(':').map_or(host, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name);
        key.len = name.len();
        let room = key.bytes.get_mut(..name.len())?;
        room.copy_from_slice(name.as_bytes());
        room.make_ascii_lowercase();
        Some(key)
    }

    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> Result<HostPattern, Wrong> {
        text.to_owned().try_into()
    }

    #[test]
    fn hosts_have_one_form() {
        let exact = |text: &str| Ok(HostPattern::Exact(text.to_owned()));
        assert_eq!(host("Pay.Example."), exact("pay.example"));
        assert_eq!(host("[0:0::1]"), exact("[::1]"));
        assert_eq!(host("192.0.2.7"), exact("192.0.2.7"));
        assert_eq!(host("*.A.b"), Ok(HostPattern::Suffix("a.b".to_owned())));
        for bad in [
            "", ".", "*", "*.", "a..b", "a.*", "*a.b", "a b", "a:80", "::1", "[::1]:80", "[a]", "é",
        ] {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_keys_ignore_case_port_and_final_dot() {
        for (given, expected) in [
            ("Pay.Example:8080", "pay.example"),
            ("pay.example.", "pay.example"),
            ("pay.example.:80", "pay.example"),
            ("[0:0:0::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(HostKey::new(given).unwrap().as_str(), expected, "{given}");
        }
        assert!(HostKey::new(&"a".repeat(254)).is_none());
        assert!(HostKey::new("[::1").is_none());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-zA-Z0-9.*:\\[\\]é-]{0,20}") {
            if let Ok(HostPattern::Exact(exact)) = host(&text) {
                let key = HostKey::new(&text).unwrap();
                prop_assert_eq!(key.as_str(), exact);
            }
            let _ = HostKey::new(&text);
        }
    }
}
