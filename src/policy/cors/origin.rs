//! Which origins an entry of `allow_origins` takes (RFC 6454, section 7: scheme, host and port).

use crate::value::Wrong;
use serde::{Deserialize, Serialize};

/// `"https://app.example"`, `"https://*.app.example"`, `"*.app.example"`, `"null"` or `"*"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum OriginPattern {
    Any,
    /// What sandboxed frames and local files send; anybody can make one.
    Null,
    Exact(String),
    /// Every name below this one, of this scheme and port where they are given.
    Below {
        scheme: Option<String>,
        suffix: String,
        port: Option<String>,
    },
}

impl OriginPattern {
    /// Whether anybody can make a page of such an origin.
    pub fn is_anybody(&self) -> bool {
        matches!(self, OriginPattern::Any | OriginPattern::Null)
    }

    /// Whether this is an origin that the pattern means. Browsers send origins in lower case.
    pub fn takes(&self, origin: &str) -> bool {
        match self {
            OriginPattern::Any => true,
            OriginPattern::Null => origin == "null",
            OriginPattern::Exact(exact) => exact == origin,
            OriginPattern::Below {
                scheme,
                suffix,
                port,
            } => {
                let Some((its_scheme, host, its_port)) = split(origin) else {
                    return false;
                };
                let below = host
                    .strip_suffix(suffix.as_str())
                    .and_then(|rest| rest.strip_suffix('.'));
                below.is_some_and(is_host)
                    && match scheme {
                        Some(scheme) => scheme == its_scheme && port.as_deref() == its_port,
                        None => ["http", "https"].contains(&its_scheme),
                    }
            }
        }
    }
}

impl TryFrom<String> for OriginPattern {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        match text.as_str() {
            "*" => return Ok(OriginPattern::Any),
            "null" => return Ok(OriginPattern::Null),
            _ => {}
        }
        let wrong = |why: &str| Wrong::new(format!("`{text}` {why}"));
        if text.chars().any(|c| c.is_ascii_uppercase()) {
            let lower = text.to_ascii_lowercase();
            return Err(wrong("is in upper case").help(format!("write \"{lower}\"")));
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return if is_host(suffix) {
                Ok(OriginPattern::Below {
                    scheme: None,
                    suffix: suffix.to_owned(),
                    port: None,
                })
            } else {
                Err(wrong("is not a name").help("write \"*.app.example\" without port and path"))
            };
        }
        let Some((scheme, host, port)) = split(&text) else {
            return Err(wrong("is not an origin").help("write it like \"https://app.example\""));
        };
        if host.contains('/') || port.is_some_and(|port| port.contains('/')) {
            return Err(
                wrong("has a path, and an origin has none").help("leave out what follows the name")
            );
        }
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(wrong("has a port that is none"));
        }
        if matches!(
            (scheme, port),
            ("http", Some("80")) | ("https", Some("443"))
        ) {
            return Err(wrong("has the port that browsers leave out").help("leave it out too"));
        }
        let suffix = host.strip_prefix("*.");
        if !suffix.map_or(is_host(host) || is_ipv6(host), is_host) {
            return Err(
                wrong("is not an origin").help("a `*` stands only for the first part of the name")
            );
        }
        Ok(match suffix {
            None => OriginPattern::Exact(text),
            Some(suffix) => OriginPattern::Below {
                scheme: Some(scheme.to_owned()),
                suffix: suffix.to_owned(),
                port: port.map(str::to_owned),
            },
        })
    }
}

impl From<OriginPattern> for String {
    fn from(pattern: OriginPattern) -> String {
        match pattern {
            OriginPattern::Any => "*".to_owned(),
            OriginPattern::Null => "null".to_owned(),
            OriginPattern::Exact(origin) => origin,
            OriginPattern::Below {
                scheme,
                suffix,
                port,
            } => {
                let scheme = scheme.map_or(String::new(), |scheme| format!("{scheme}://"));
                let port = port.map_or(String::new(), |port| format!(":{port}"));
                format!("{scheme}*.{suffix}{port}")
            }
        }
    }
}

/// Scheme, host and port.
fn split(origin: &str) -> Option<(&str, &str, Option<&str>)> {
    let (scheme, rest) = origin.split_once("://")?;
    let in_scheme = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    if scheme.is_empty() || !scheme.bytes().all(in_scheme) {
        return None;
    }
    Some(match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (scheme, host, Some(port)),
        _ => (scheme, rest, None),
    })
}

fn is_host(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    text.split('.')
        .all(|label| !label.is_empty() && label.bytes().all(inner))
}

fn is_ipv6(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> Result<OriginPattern, Wrong> {
        OriginPattern::try_from(text.to_owned())
    }

    #[test]
    fn an_origin_is_taken_as_a_whole() {
        for (text, takes, refuses) in [
            ("*", &["https://a.example", "null"][..], &[][..]),
            ("null", &["null"], &["https://null"]),
            (
                "https://app.example",
                &["https://app.example"],
                &[
                    "http://app.example",
                    "https://app.example:8443",
                    "https://app.example.evil.example",
                    "https://evilapp.example",
                    "https://x.app.example",
                    "null",
                ],
            ),
            (
                "http://localhost:3000",
                &["http://localhost:3000"],
                &["http://localhost"],
            ),
            (
                "http://[::1]:3000",
                &["http://[::1]:3000"],
                &["http://[::1]"],
            ),
            (
                "*.app.example",
                &["https://x.app.example", "http://a.b.app.example:81"],
                &[
                    "https://app.example",
                    "https://.app.example",
                    "https://evil-app.example",
                    "https://x.app.example.evil",
                    "https://evil.example/.app.example",
                    "https://evil.example:1.app.example",
                    "https://u@x.app.example",
                    "ftp://x.app.example",
                ],
            ),
            (
                "https://*.app.example",
                &["https://x.app.example"],
                &["http://x.app.example", "https://x.app.example:81"],
            ),
            (
                "https://*.app.example:81",
                &["https://x.app.example:81"],
                &["https://x.app.example"],
            ),
        ] {
            let read = pattern(text).unwrap();
            for origin in takes {
                assert!(read.takes(origin), "{text}: {origin}");
            }
            for origin in refuses {
                assert!(!read.takes(origin), "{text}: {origin}");
            }
            assert_eq!(String::from(read), text);
        }
    }

    #[test]
    fn problems_say_how_to_mend_them() {
        for (text, says) in [
            ("app.example", "write it like"),
            ("", "write it like"),
            ("https://app.example/", "has a path"),
            ("https://app.example:81/x", "has a path"),
            ("https://App.example", "write \"https://app.example\""),
            ("https://app.example:443", "leave it out"),
            ("http://app.example:x", "a port that is none"),
            ("https://*", "first part"),
            ("https://a.*.example", "first part"),
            ("*.*.example", "is not a name"),
            ("*.", "is not a name"),
            ("*.app.example:81", "without port"),
        ] {
            let error = pattern(text).expect_err(text);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn only_names_below_the_suffix_are_taken(before in "[ -~]{0,12}") {
            let pattern = pattern("https://*.app.example").unwrap();
            let origin = format!("{before}.app.example");
            if pattern.takes(&origin) {
                let name = before.strip_prefix("https://").unwrap();
                prop_assert!(is_host(name), "{}", origin);
            }
        }
    }
}
