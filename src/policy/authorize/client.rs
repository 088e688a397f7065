//! A pattern that callers' identities are compared with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::http::peer::Identity;
use crate::tls::certificate::is_spiffe_id;
use crate::value::Wrong;

/// An entry of `clients`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClientPattern {
    /// `*`: whoever has proven any identity.
    Any,
    Spiffe(String),
    /// `spiffe://td/ns/x/*`: every ID below. What is held is `spiffe://td/ns/x/`.
    SpiffeBelow(String),
    /// `dns:svc.example`
    Dns(String),
    /// `dns:*.example`: every name below. What is held is `.example`.
    DnsBelow(String),
}

impl ClientPattern {
    pub fn matches(&self, identity: &Identity) -> bool {
        let below =
            |name: &str, prefix: &str| name.len() > prefix.len() && name.starts_with(prefix);
        match self {
            ClientPattern::Any => true,
            ClientPattern::Spiffe(id) => identity.spiffe() == Some(id),
            ClientPattern::SpiffeBelow(prefix) => {
                identity.spiffe().is_some_and(|id| below(id, prefix))
            }
            ClientPattern::Dns(name) => identity.dns().any(|one| one.eq_ignore_ascii_case(name)),
            ClientPattern::DnsBelow(suffix) => identity.dns().any(|one| {
                one.len() > suffix.len() && one.to_ascii_lowercase().ends_with(suffix.as_str())
            }),
        }
    }
}

impl FromStr for ClientPattern {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if text == "*" {
            return Ok(ClientPattern::Any);
        }
        if let Some(above) = text.strip_suffix("/*").filter(|above| is_spiffe_id(above)) {
            return Ok(ClientPattern::SpiffeBelow(format!("{above}/")));
        }
        if is_spiffe_id(text) {
            return Ok(ClientPattern::Spiffe(text.to_owned()));
        }
        if let Some(name) = text.strip_prefix("dns:") {
            let (below, host) = match name.strip_prefix("*.") {
                Some(rest) => (true, rest),
                None => (false, name),
            };
            let label = |label: &str| {
                !label.is_empty()
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            };
            if host.split('.').all(label) {
                let host = host.to_ascii_lowercase();
                return Ok(if below {
                    ClientPattern::DnsBelow(format!(".{host}"))
                } else {
                    ClientPattern::Dns(host)
                });
            }
        }
        Err(Wrong::new(format!("`{text}` names no caller")).help(
            "write \"spiffe://td/ns/x/sa/y\", \"spiffe://td/ns/x/*\", \"dns:svc.example\", \
             \"dns:*.example\" or \"*\"",
        ))
    }
}

impl fmt::Display for ClientPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientPattern::Any => f.write_str("*"),
            ClientPattern::Spiffe(id) => f.write_str(id),
            ClientPattern::SpiffeBelow(prefix) => write!(f, "{prefix}*"),
            ClientPattern::Dns(name) => write!(f, "dns:{name}"),
            ClientPattern::DnsBelow(suffix) => write!(f, "dns:*{suffix}"),
        }
    }
}

impl TryFrom<String> for ClientPattern {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        text.parse()
    }
}

impl From<ClientPattern> for String {
    fn from(pattern: ClientPattern) -> String {
        pattern.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, identity: &Identity) -> bool {
        pattern.parse::<ClientPattern>().unwrap().matches(identity)
    }

    #[test]
    fn a_pattern_means_one_identity_or_all_below() {
        let app = Identity::new(Some("spiffe://td/ns/x/sa/y"), &["Svc.A.example"], "CN=y");
        for pattern in [
            "*",
            "spiffe://td/ns/x/sa/y",
            "spiffe://td/ns/x/*",
            "spiffe://td/*",
            "dns:svc.a.example",
            "dns:*.a.example",
            "dns:*.EXAMPLE",
        ] {
            assert!(matches(pattern, &app), "{pattern}");
        }
        for pattern in [
            "spiffe://td/ns/x/sa",
            "spiffe://td/ns/x/sa/y/*",
            "spiffe://t/*",
            "spiffe://td/ns/x/sa/yy",
            "spiffe://td/n/*",
            "dns:a.example",
            "dns:*.svc.a.example",
            "dns:*.vc.a.example",
        ] {
            assert!(!matches(pattern, &app), "{pattern}");
        }
        let nameless = Identity::new(None, &[], "CN=spiffe://td/app");
        assert!(matches("*", &nameless));
        assert!(!matches("spiffe://td/*", &nameless));
    }

    #[test]
    fn what_names_no_caller_is_a_problem() {
        for text in [
            "",
            "app",
            "spiffe://",
            "spiffe://td/*/x",
            "spiffe://*",
            "dns:",
            "dns:*",
            "dns:a..b",
            "https://x",
        ] {
            assert!(text.parse::<ClientPattern>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_written_as_it_was_read(text in "(spiffe://[a-z]{1,4}(/[a-z.]{1,3}){0,3}(/\\*)?)|(dns:(\\*\\.)?[a-z]{1,3}(\\.[a-z]{1,3}){0,2})|\\*") {
            if let Ok(pattern) = text.parse::<ClientPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
            }
        }
    }
}
