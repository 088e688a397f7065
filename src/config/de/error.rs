//! What serde finds wrong with a value, with the key path that leads to it.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::super::elsewhere::hint;
use super::super::suggest::{any_of, nearest};
use crate::value::{NOT_BUILT, Wrong};

/// The error of our deserializer.
#[derive(Debug)]
pub(in super::super) struct Error {
    /// From the outside in. While the error travels up it is kept the other way round.
    pub path: Vec<String>,
    /// It is the last key of the path that is wrong, not its value.
    pub at_key: bool,
    pub kind: Kind,
}

#[derive(Debug)]
pub(in super::super) enum Kind {
    /// No key of its table has this name. `known` is empty when nobody told which ones there are; then `key` may
    /// be empty as well, and the path says it.
    UnknownKey {
        key: String,
        known: Vec<&'static str>,
    },
    MissingKey(&'static str),
    /// One of a set of words was expected.
    UnknownChoice {
        found: String,
        choices: &'static [&'static str],
    },
    Unfit {
        found: String,
        expected: String,
    },
    NotBuilt,
    /// What the type says that refused the value.
    Other(Wrong),
}

impl Error {
    pub fn new(kind: Kind) -> Self {
        Error {
            path: Vec::new(),
            at_key: false,
            kind,
        }
    }

    pub fn unknown_key(key: &str, known: &[&'static str]) -> Self {
        Error::new(Kind::UnknownKey {
            key: key.to_owned(),
            known: known.to_vec(),
        })
    }

    /// The error as the value under `key` passes it on.
    pub fn under(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }

    /// The error, when it was the name `key` itself that is wrong.
    pub fn in_key(mut self, key: &str) -> Self {
        self.at_key = true;
        self.under(key)
    }

    /// The error at the end of its way up.
    pub fn arrived(mut self) -> Self {
        self.path.reverse();
        self
    }

    /// What is wrong, and how to mend it. Where the value is a secret, it is not repeated.
    pub fn words(&self, secret: bool) -> (String, Option<String>) {
        match &self.kind {
            Kind::UnknownChoice { choices, .. } if secret => (
                "unknown value".to_owned(),
                Some(format!("write {}", any_of(choices.iter().copied()))),
            ),
            Kind::Unfit { found, expected } if secret => {
                let found = if found.starts_with('`') {
                    "another value"
                } else {
                    found
                };
                (format!("expected {expected}, found {found}"), None)
            }
            Kind::UnknownKey { key, known } => {
                let key = match (key.as_str(), self.path.last()) {
                    ("", Some(last)) => last,
                    (key, _) => key,
                };
                let wrong = format!("unknown key `{key}`");
                let known = &built(known);
                match (hint(key, known), nearest(key, known.iter().copied())) {
                    (Some(hint), _) => (wrong, Some(hint.to_owned())),
                    (None, Some(meant)) => (format!("{wrong}, did you mean `{meant}`?"), None),
                    (None, None) => (wrong, known_keys(known)),
                }
            }
            Kind::MissingKey(key) => (
                format!("missing key `{key}`"),
                Some(format!("add `{key} = ...` here")),
            ),
            Kind::UnknownChoice { found, choices } => {
                let meant = nearest(found, choices.iter().copied());
                let did_you_mean =
                    meant.map_or(String::new(), |m| format!(", did you mean `{m}`?"));
                (
                    format!("unknown value `{found}`{did_you_mean}"),
                    Some(format!("write {}", any_of(choices.iter().copied()))),
                )
            }
            Kind::Unfit { found, expected } => {
                let help = how_to_write(expected, found);
                (format!("expected {expected}, found {found}"), help)
            }
            Kind::NotBuilt => {
                let key = self.path.last().map_or("this", String::as_str);
                (
                    format!("`{key}` is known, but not built yet in this version"),
                    Some("remove it".to_owned()),
                )
            }
            Kind::Other(Wrong { message, help, .. }) => (message.clone(), help.clone()),
        }
    }
}

/// Keys of the contract that no table has yet. Whoever looks for a key is not led to one of them.
const NOT_BUILT_KEYS: &[&str] = &["proxy_protocol", "publish", "sql"];

fn built(known: &[&'static str]) -> Vec<&'static str> {
    let built = |key: &&&str| !NOT_BUILT_KEYS.contains(*key);
    known.iter().filter(built).copied().collect()
}

fn known_keys(known: &[&'static str]) -> Option<String> {
    let mut known = known.to_vec();
    known.sort_unstable();
    (!known.is_empty()).then(|| format!("known keys: {}", known.join(", ")))
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let wrong = Wrong::displayed(&message);
        Error::new(if wrong.message == NOT_BUILT {
            Kind::NotBuilt
        } else {
            Kind::Other(wrong)
        })
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::new(Kind::Unfit {
            found: found_words(found),
            expected: expected_words(&expected.to_string()),
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, choices: &'static [&'static str]) -> Self {
        Error::new(Kind::UnknownChoice {
            found: found.to_owned(),
            choices,
        })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Error::unknown_key(key, known)
    }

    fn missing_field(key: &'static str) -> Self {
        Error::new(Kind::MissingKey(key))
    }

    fn duplicate_field(key: &'static str) -> Self {
        Error::new(Kind::Other(
            Wrong::new(format!("`{key}` is given twice")).help("remove one"),
        ))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(false).0)
    }
}

impl std::error::Error for Error {}

/// How to mend a value of the wrong kind, where that is plain.
fn how_to_write(expected: &str, found: &str) -> Option<String> {
    let number = found.trim_matches('`');
    let is_whole = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let help = match (expected, found) {
        ("a list", found) if found != "a table" => {
            "write it in brackets, like `[\"...\"]`".to_owned()
        }
        ("a list", _) => "write it in brackets, like `[{ ... }]`".to_owned(),
        ("text", "`true`" | "`false`") => "put it in quotes".to_owned(),
        ("text", _) if is_whole => format!("put it in quotes: \"{number}\""),
        ("a table", TEXT | NUMBER_IN_QUOTES | "a list") => {
            "a table is written `{ key = value }`".to_owned()
        }
        (_, NUMBER_IN_QUOTES)
            if expected.starts_with("a whole number") || expected == "a number" =>
        {
            "remove the quotes".to_owned()
        }
        ("`true` or `false`", BOOLEAN_IN_QUOTES) => "remove the quotes".to_owned(),
        ("`true` or `false`", TEXT) => "write `true` or `false`, without quotes".to_owned(),
        _ if is_whole && expected.starts_with("a duration") => {
            format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds")
        }
        _ if is_whole && expected.starts_with("a size") => {
            format!("write \"{number}B\" for bytes or \"{number}KiB\" for kibibytes")
        }
        _ => return None,
    };
    Some(help)
}

const TEXT: &str = "text";
const NUMBER_IN_QUOTES: &str = "a number in quotes";
const BOOLEAN_IN_QUOTES: &str = "`true` or `false` in quotes";

/// Text is not repeated: where a table was expected it may well be a secret.
fn found_words(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        // With its point, which tells it from a whole number.
        Unexpected::Float(value) => format!("`{value:?}`"),
        Unexpected::Str("true" | "false") => BOOLEAN_IN_QUOTES.to_owned(),
        Unexpected::Str(text) if text.parse::<f64>().is_ok() => NUMBER_IN_QUOTES.to_owned(),
        Unexpected::Str(_) | Unexpected::Char(_) => TEXT.to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(other) => other.to_owned(),
        other => other.to_string(),
    }
}

/// Serde's words for what a type wants, in the words of somebody who writes TOML.
fn expected_words(expected: &str) -> String {
    let whole =
        |least: &str, most: &dyn fmt::Display| format!("a whole number from {least} to {most}");
    match expected {
        "a string" | "string" | "str" => "text".to_owned(),
        "a boolean" | "bool" => "`true` or `false`".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        "u8" => whole("0", &u8::MAX),
        "u16" => whole("0", &u16::MAX),
        "u32" => whole("0", &u32::MAX),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a nonzero u16" => whole("1", &u16::MAX),
        "a nonzero u32" => whole("1", &u32::MAX),
        "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more".to_owned(),
        "i32" => whole(&i32::MIN.to_string(), &i32::MAX),
        "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other => other.to_owned(),
    }
}
