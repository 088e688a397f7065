//! Where a call goes.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{Wrong, text, variable_in};

/// An `http://` or `https://` URL with a host, and without a user or a fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Uri);

impl Url {
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The one given, or that of the scheme.
    pub fn port(&self) -> u16 {
        self.0
            .port_u16()
            .unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    /// Host and port as the URL has them: what `Host` says.
    pub fn authority(&self) -> &str {
        self.0
            .authority()
            .map_or("", |authority| authority.as_str())
    }

    /// All of it.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// Whether `other` leads to the same server, if to another of its resources.
    pub fn is_of_the_same_server(&self, other: &Url) -> bool {
        self.is_encrypted() == other.is_encrypted() && self.0.authority() == other.0.authority()
    }

    pub fn is_encrypted(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// `host:port`, the name that the server must prove to be.
    pub fn server(&self) -> String {
        let host = self.0.host().unwrap_or_default();
        format!("{host}:{}", self.port())
    }
}

impl FromStr for Url {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        // What is wrong is not shown: there may be a password in it.
        if text.contains('@') {
            return Err(Wrong::new("a URL with a user or a password is not taken")
                .help("leave out all up to the `@`"));
        }
        if let Some(wrong) = variable_in(text) {
            return Err(wrong);
        }
        let form = || {
            Wrong::new(format!("`{text}` is not a URL"))
                .help("write it like \"https://idp.example/path\"")
        };
        if text.contains('#') {
            return Err(
                Wrong::new(format!("`{text}` has a fragment, which no server sees"))
                    .help("leave out what follows the `#`"),
            );
        }
        let uri: Uri = text.parse().map_err(|_| form())?;
        // One that is too large is no port to the parser, which would lead to that of the scheme.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() && uri.port_u16().is_none()
        {
            return Err(Wrong::new(format!(
                "`{text}` has no port that there is: a port is 65535 at most"
            )));
        }
        match (uri.scheme_str(), uri.host()) {
            (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(Url(uri)),
            (Some(scheme), Some(_)) if scheme != "http" && scheme != "https" => {
                Err(Wrong::new(format!(
                    "`{text}` is a URL of `{scheme}`, and only those of http and https are called"
                ))
                .help(
                    "write it like \
                 \"https://idp.example/path\"",
                ))
            }
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a URL such as \"https://idp.example/path\"")
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_perhaps_a_port() {
        for (text, host, port, authority) in [
            ("http://idp/token?a=b", "idp", 80, "idp"),
            ("https://idp.example", "idp.example", 443, "idp.example"),
            ("http://127.0.0.1:81/", "127.0.0.1", 81, "127.0.0.1:81"),
            ("http://[::1]:81/x", "::1", 81, "[::1]:81"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.host(), host);
            assert_eq!(url.port(), port);
            assert_eq!(url.authority(), authority);
        }
    }

    #[test]
    fn a_server_is_a_scheme_a_host_and_a_port() {
        let url = |text: &str| text.parse::<Url>().unwrap();
        let own = url("http://idp:80/token");
        assert!(own.is_of_the_same_server(&url("http://IDP:80/keys?a=b")));
        for other in [
            "https://idp:80/token",
            "http://idp:81/token",
            "http://id/token",
        ] {
            assert!(!own.is_of_the_same_server(&url(other)), "{other}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_without_its_password() {
        for text in [
            "idp.example",
            "ftp://idp",
            "http://",
            "/token",
            "http://a b",
            "http://a/#x",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
        for (text, says) in [
            ("ftp://idp/token", "a URL of `ftp`"),
            ("https://idp:70001/token", "65535 at most"),
            ("${IDP}/token", "write the value itself"),
        ] {
            let error = text.parse::<Url>().unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
        let error = "http://me:s3cret@idp/".parse::<Url>().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
