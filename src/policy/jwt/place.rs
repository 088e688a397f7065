//! `from`: where a request has its token.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, header};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::http::caller_key::Field;
use crate::http::cookie;
use crate::http::headers::Headers;
use crate::value::{Wrong, text};

/// `"header:NAME"` or `"cookie:NAME"`.
///
/// In a header the token may stand behind the word `Bearer`; in `Authorization` it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPlace(Field);

impl Default for TokenPlace {
    fn default() -> Self {
        TokenPlace(Field::Header(header::AUTHORIZATION))
    }
}

impl TokenPlace {
    /// The header that holds it, if it is no cookie.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        match &self.0 {
            Field::Header(name) => Some(name),
            Field::Cookie(_) => None,
        }
    }

    /// The token, if there is one.
    ///
    /// # Errors
    /// Words for the caller, when nobody could tell which one counts.
    pub(super) fn token<'a>(
        &'a self,
        headers: &'a Headers,
    ) -> Result<Option<&'a str>, &'static str> {
        let mut found = None;
        let mut add = |token| match found.replace(token) {
            None => Ok(()),
            Some(_) => Err("the request has more than one token"),
        };
        match &self.0 {
            Field::Header(name) => {
                for line in headers.get_all(name) {
                    if let Some(token) = in_header(name, line) {
                        add(token)?;
                    }
                }
            }
            Field::Cookie(name) => {
                for value in cookie::values(headers, name) {
                    if let Some(token) = in_cookie(value) {
                        add(token)?;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Another scheme than `Bearer` is no token, and neither is what is no text.
fn in_header<'a>(name: &HeaderName, line: &'a [u8]) -> Option<&'a str> {
    let line = std::str::from_utf8(line).ok()?.trim();
    match line.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
        None if *name != header::AUTHORIZATION && !line.is_empty() => Some(line),
        _ => None,
    }
}

/// An empty value is no token. Quotes around one are no part of it.
fn in_cookie(value: &[u8]) -> Option<&str> {
    let token = std::str::from_utf8(value).ok()?.trim_matches('"');
    (!token.is_empty()).then_some(token)
}

impl FromStr for TokenPlace {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match Field::read(text) {
            Some(field) => field.map(TokenPlace),
            None => Err(Wrong::new(format!("`{text}` is no place for a token"))
                .help("write \"header:NAME\" or \"cookie:NAME\"")),
        }
    }
}

impl fmt::Display for TokenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for TokenPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "\"header:NAME\" or \"cookie:NAME\"")
    }
}

impl Serialize for TokenPlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    fn token(place: &str, fields: &[(&str, &str)]) -> Result<Option<String>, &'static str> {
        let place: TokenPlace = place.parse().unwrap();
        let found = place.token(&headers(fields))?.map(str::to_owned);
        Ok(found)
    }

    #[test]
    fn a_token_is_found_where_it_is_looked_for() {
        let authorization = "header:authorization";
        for (place, fields, found) in [
            (
                authorization,
                &[("authorization", "Bearer abc")][..],
                Some("abc"),
            ),
            (
                authorization,
                &[("authorization", "bearer  abc ")],
                Some("abc"),
            ),
            (authorization, &[("authorization", "abc")], None),
            (authorization, &[("authorization", "Basic abc")], None),
            (authorization, &[("x-token", "abc")], None),
            (
                authorization,
                &[
                    ("authorization", "Basic abc"),
                    ("authorization", "Bearer d"),
                ],
                Some("d"),
            ),
            ("header:x-token", &[("x-token", "abc")], Some("abc")),
            ("header:x-token", &[("x-token", "Bearer abc")], Some("abc")),
            ("header:x-token", &[("x-token", "")], None),
            ("cookie:t", &[("cookie", "a=b; t=abc")], Some("abc")),
            (
                "cookie:t",
                &[("cookie", "a=b"), ("cookie", "t=\"abc\"")],
                Some("abc"),
            ),
            ("cookie:t", &[("cookie", "at=abc; t=")], None),
        ] {
            assert_eq!(
                token(place, fields),
                Ok(found.map(str::to_owned)),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn of_two_tokens_none_counts() {
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert!(token("header:authorization", &twice).is_err());
        assert!(token("cookie:t", &[("cookie", "t=a; t=b")]).is_err());
    }

    #[test]
    fn other_places_are_problems() {
        for text in [
            "query:token",
            "header:",
            "header:a b",
            "cookie:",
            "authorization",
        ] {
            assert!(text.parse::<TokenPlace>().is_err(), "{text}");
        }
        let place: TokenPlace = "header:X-Token".parse().unwrap();
        assert_eq!(place.to_string(), "header:x-token");
    }
}
