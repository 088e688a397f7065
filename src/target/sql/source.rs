//! Where a parameter comes from.

use std::fmt;
use std::str::FromStr;

use http::HeaderName;
use serde::{Deserialize, Serialize};

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    /// What a `{name}` of the path matched, decoded.
    Path(String),
    /// The first value under a name in the query, decoded.
    Query(String),
    /// The first value of a header.
    Header(HeaderName),
    /// The part of a JSON document that a pointer leads to (RFC 6901); all of it by the empty one.
    Body(String),
    /// A claim of the caller's token.
    Jwt(String),
}

impl Source {
    pub fn is_body(&self) -> bool {
        matches!(self, Source::Body(_))
    }
}

const FORM: &str =
    "write `path.NAME`, `query.NAME`, `header.NAME`, `body./POINTER`, `body` or `jwt.CLAIM`";

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "body" {
            return Ok(Source::Body(String::new()));
        }
        let wrong = || format!("`{text}` is no part of a request: {FORM}");
        let (kind, name) = text.split_once('.').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        match kind {
            "path" => Ok(Source::Path(name.to_owned())),
            "query" => Ok(Source::Query(name.to_owned())),
            "header" => match name.parse() {
                Ok(name) => Ok(Source::Header(name)),
                Err(_) => Err(format!("`{name}` is no name of a header")),
            },
            "body" if name.starts_with('/') => Ok(Source::Body(name.to_owned())),
            "body" => Err(format!("`{name}` is no JSON pointer: write `body./{name}`")),
            "jwt" => Ok(Source::Jwt(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> String {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(name) => write!(f, "path.{name}"),
            Source::Query(name) => write!(f, "query.{name}"),
            Source::Header(name) => write!(f, "header.{name}"),
            Source::Body(pointer) if pointer.is_empty() => f.write_str("body"),
            Source::Body(pointer) => write!(f, "body.{pointer}"),
            Source::Jwt(claim) => write!(f, "jwt.{claim}"),
        }
    }
}
