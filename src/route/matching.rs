//! `match`: which requests a route takes.

use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use regex::Regex;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::host::HostPattern;
use super::pattern::PathPattern;
use crate::value::FieldName;
use crate::value::problem::Problems;
use crate::value::{Name, OneOrMany, REDACTED, Wrong, names_a_secret};

/// `match`: every condition given must hold; one left out always does.
///
/// Paths are matched in the one form that [`crate::http::path`] gives them. Precedence does not depend on the order
/// in the file: an exact host before the longest suffix before any host; then the more specific path, segment
/// by segment; then the route with more conditions.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MatchConfig {
    /// Exact, or `*.suffix`. Case, the port and a final dot are ignored.
    pub host: Option<HostPattern>,
    /// Literal segments, `{name}` for one segment, `{*name}` for the rest.
    pub path: Option<PathPattern>,
    /// A further condition on the path. It may match anywhere in it: anchor it with `^` and `$`.
    pub path_regex: Option<Pattern>,
    /// Default: every method but `CONNECT` and `TRACE`. `GET` stands for `HEAD` too (RFC 9110, section 9.3.2).
    pub methods: Option<Vec<MethodName>>,
    /// By name. A header sent more than once matches when one of its values does, so that adding another value
    /// never gets round a route: each line counts, each element of a comma-separated line, and the whole.
    #[serde(serialize_with = "without_secrets")]
    pub headers: BTreeMap<FieldName, ValueMatch>,
    /// By name, percent-decoded. Of a repeated parameter any value may match.
    pub query: BTreeMap<String, ValueMatch>,
    /// Only for callers of these listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<OneOrMany<Name>>,
}

impl MatchConfig {
    /// What deserializing alone cannot see, apart from other routes.
    pub(super) fn check(&self, allow_encoded_slashes: bool, problems: &mut Problems) {
        if self.methods.as_ref().is_some_and(Vec::is_empty) {
            problems
                .error(&["methods"], "a route without methods matches nothing")
                .help("leave `methods` out to match every method but CONNECT and TRACE");
        }
        let Some(path) = &self.path else { return };
        if let Some((segment, meant)) = path.looks_like_placeholder() {
            problems
                .warning(&["path"], format!("`{segment}` matches only itself here"))
                .help(format!("to match any text, write `{meant}`"));
        }
        if path.encoded_separators && !allow_encoded_slashes {
            problems
                .warning(
                    &["path"],
                    "this path can never match: it has an encoded slash",
                )
                .help("set `allow_encoded_slashes = true` on the route");
        }
        if let (Some(only), Some(regex)) = (path.only_path(), &self.path_regex)
            && !regex.is_match(&only)
        {
            problems.warning(
                &["path_regex"],
                "this route can never match: `path` does not match `path_regex`",
            );
        }
    }
}

/// What a header or a query parameter must be.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueMatch {
    /// `"*"`: there, with whatever value.
    Present,
    Exact(String),
    /// `{ regex = "…" }`: it may match anywhere in the value, unless it is anchored with `^` and `$`.
    Regex(Pattern),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RegexForm {
    regex: Pattern,
}

impl<'de> Deserialize<'de> for ValueMatch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueVisitor;

        impl<'de> Visitor<'de> for ValueVisitor {
            type Value = ValueMatch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value in quotes, \"*\" for any, or { regex = \"…\" }")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ValueMatch, E> {
                Ok(match text {
                    "*" => ValueMatch::Present,
                    text => ValueMatch::Exact(text.to_owned()),
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ValueMatch, A::Error> {
                RegexForm::deserialize(MapAccessDeserializer::new(map))
                    .map(|form| ValueMatch::Regex(form.regex))
            }
        }

        deserializer.deserialize_any(ValueVisitor)
    }
}

impl Serialize for ValueMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            ValueMatch::Present => serializer.serialize_str("*"),
            ValueMatch::Exact(text) => serializer.serialize_str(text),
            ValueMatch::Regex(regex) => RegexForm {
                regex: regex.clone(),
            }
            .serialize(serializer),
        }
    }
}

/// Headers as they are shown: what a credential must be is the credential.
fn without_secrets<S: Serializer>(
    headers: &BTreeMap<FieldName, ValueMatch>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let hidden = ValueMatch::Exact(REDACTED.to_owned());
    serializer.collect_map(headers.iter().map(|(name, value)| match value {
        ValueMatch::Exact(_) | ValueMatch::Regex(_) if names_a_secret(name.as_str()) => {
            (name, &hidden)
        }
        _ => (name, value),
    }))
}

/// A regular expression in the syntax of the `regex` crate, which matches in linear time.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl Pattern {
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        match Regex::new(&text) {
            Ok(regex) => Ok(Pattern(regex)),
            Err(error) => {
                let reason = reason(&error);
                let message = format!("`{text}` is not a regular expression: {}", reason.message);
                Err(Wrong { message, ..reason })
            }
        }
    }
}

/// Why, in one line: the crate draws the expression over several, and the report shows it anyway.
fn reason(error: &regex::Error) -> Wrong {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            let most = limit >> 20;
            Wrong::new(format!("it would take more than {most} MiB")).help("repeat less")
        }
        error => {
            let drawn = error.to_string();
            let last = drawn.rsplit("error: ").next().unwrap_or(&drawn);
            last.trim().into()
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0.as_str().to_owned()
    }
}

/// A request method. Methods are case-sensitive, and all known ones are upper-case (RFC 9110, section 9.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct MethodName(pub Method);

impl TryFrom<String> for MethodName {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            Ok(_) if text != upper => {
                Err(Wrong::new("methods are upper-case").help(format!("write \"{upper}\"")))
            }
            Ok(method) => Ok(MethodName(method)),
            Err(_) => Err(Wrong::new(format!("`{text}` is not a method"))
                .help("write each in quotes of its own, like \"GET\"")),
        }
    }
}

impl From<MethodName> for String {
    fn from(method: MethodName) -> String {
        method.0.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<MatchConfig, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn the_contract_s_example_is_read_and_shown_alike() {
        let text = r#"host = "payments.localhost"
path = "/v1/charges/{id}"
path_regex = "[0-9]$"
methods = ["POST"]
headers = { X-Tenant = "acme", x-any = "*", x-re = { regex = "^a" } }
query = { v = "2" }
listener = "main""#;
        let read = read(text).unwrap();
        let shown = serde_json::to_value(&read).unwrap();
        assert_eq!(shown["headers"]["X-Tenant"], "acme");
        assert_eq!(shown["headers"]["x-any"], "*");
        assert_eq!(shown["headers"]["x-re"]["regex"], "^a");
        assert_eq!(serde_json::from_value::<MatchConfig>(shown).unwrap(), read);
    }

    #[test]
    fn problems_stand_at_their_place() {
        for (text, part) in [
            ("methods = [\"post\"]", "write \"POST\""),
            ("methods = [\"a b\"]", "not a method"),
            ("path_regex = \"(\"", "not a regular expression"),
            ("headers = { \"a b\" = \"1\" }", "not a header name"),
            ("headers = { a = 1 }", "a value in quotes"),
            ("headers = { a = { regx = \"1\" } }", "unknown field `regx`"),
            (
                "query = { a = { regex = \"[\" } }",
                "not a regular expression",
            ),
            ("host = \"a:80\"", "ports are ignored"),
            ("pth = \"/\"", "unknown field `pth`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(error.contains("line 1"), "{text}: {error}");
        }
    }

    #[test]
    fn routes_that_can_never_match_are_told() {
        let check = |text: &str, allow| {
            let mut problems = Problems::default();
            read(text).unwrap().check(allow, &mut problems);
            problems.into_vec().len()
        };
        assert_eq!(check("methods = []", false), 1);
        assert_eq!(check("path = \"/a%2Fb\"", false), 1);
        assert_eq!(check("path = \"/a%2Fb\"", true), 0);
        assert_eq!(check("path = \"/a\"\npath_regex = \"^/b\"", false), 1);
        assert_eq!(check("path = \"/{a}\"\npath_regex = \"^/b\"", false), 0);
        assert_eq!(check("path = \"/a/:id\"", false), 1);
        assert_eq!(check("path = \"/a/*\"", false), 1);
        assert_eq!(check("path = \"/a/b:c/d*\"", false), 0);
    }
}
