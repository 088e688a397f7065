//! The block of `cors`.

use http::Method;
use serde::{Deserialize, Serialize};

use super::OriginPattern;
use crate::policy::table::{Block, Summary};
use crate::value::problem::Problems;
use crate::value::{Duration, Wrong, read_header_name};

/// `cors`
///
/// A preflight, which is an `OPTIONS` request with `Origin` and `Access-Control-Request-Method`, is answered here.
/// It takes the route that the announced request would take, so `methods` of a route need not name `OPTIONS`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `"https://app.example"`, `"https://*.app.example"`, `"*.app.example"` for any scheme and port, or `"*"`.
    pub allow_origins: Vec<OriginPattern>,
    /// Default, as with `"*"`: every method that the route takes.
    pub allow_methods: Option<Vec<MethodWord>>,
    /// Headers that a page may set. Default, as with `"*"`: all that it asks for.
    pub allow_headers: Option<Vec<HeaderWord>>,
    /// Headers of the answer that a page may read, beside the ones that it always may.
    #[serde(default)]
    pub expose_headers: Vec<HeaderWord>,
    /// Let pages send cookies and the like, and read the answer.
    #[serde(default)]
    pub allow_credentials: bool,
    /// How long a browser may remember the answer to a preflight. Default: 10 min.
    #[serde(default = "ten_minutes")]
    pub max_age: Duration,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// A method, or `"*"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct MethodWord(pub(super) String);

impl TryFrom<String> for MethodWord {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if text == upper => Ok(MethodWord(text)),
            Ok(_) => Err(Wrong::new("methods are upper-case").help(format!("write \"{upper}\""))),
            Err(_) => Err(Wrong::new(format!("`{text}` is not a method"))),
        }
    }
}

/// The name of a header, or `"*"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct HeaderWord(pub(super) String);

impl TryFrom<String> for HeaderWord {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        read_header_name(&text)?;
        Ok(HeaderWord(text))
    }
}

pub(super) const ANY: &str = "*";

impl Block for Config {
    fn check(&self, problems: &mut Problems) {
        if self.allow_origins.is_empty() {
            problems
                .error(&["allow_origins"], "without an origin no page may call")
                .help("name the origins that may, such as \"https://app.example\"");
        }
        for (index, origin) in self.allow_origins.iter().enumerate() {
            let place = ["allow_origins", &index.to_string()];
            if self.allow_credentials && origin.is_anybody() {
                problems
                    .error(
                        &place,
                        "with `allow_credentials`, any page on the web could act for whoever visits it",
                    )
                    .help("name the origins that may call, such as \"https://app.example\"")
                    .related(&["allow_credentials"], "allowed here");
            } else if *origin == OriginPattern::Any && self.allow_origins.len() > 1 {
                problems.warning(
                    &place,
                    "`*` allows every origin, so the others change nothing",
                );
            }
        }
        let exposes_all = self.expose_headers.iter().position(|name| name.0 == ANY);
        if let (true, Some(index)) = (self.allow_credentials, exposes_all) {
            problems
                .error(
                    &["expose_headers", &index.to_string()],
                    "with `allow_credentials`, browsers take `*` for the name of a header",
                )
                .help("name the headers");
        }
    }

    fn tell(&self, summary: &mut Summary) {
        summary.answers_preflights = true;
    }
}
