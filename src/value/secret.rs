//! Secrets: where they come from, and a text that shows itself to nobody.

use std::env::VarError;
use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::FilePath;
use super::padding::{is_invisible, is_padding};
use crate::value::Wrong;
use crate::value::problem::Problems;

/// The longest secret, in bytes: far above any key or token, far below what a header may have.
const LONGEST: u64 = 16 << 10;

/// What stands in place of a secret wherever one would be shown.
pub const REDACTED: &str = "[redacted]";

/// The headers of the standards that hold a caller's credentials.
pub const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// Whether a header or a key of this name is likely to hold a credential: one of the standard's, or a longer name with a
/// telling word in it, such as `x-api-key` or `db_password`.
pub fn names_a_secret(name: &str) -> bool {
    const WORDS: [&str; 6] = [
        "secret",
        "passw",
        "token",
        "credential",
        "apikey",
        "api-key",
    ];
    let name = name.to_ascii_lowercase().replace('_', "-");
    CREDENTIALS.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

/// The name under which a secret tells its deserializer that what stands here is not to be shown.
pub const SECRET: &str = "outrigger::secret";

/// `{ file = "/path" }`, `{ env = "NAME" }` or `{ value = "…" }`.
///
/// It is opened when the config is checked, so one that is missing is a problem at its place, and a file that changes
/// makes a new config. Line breaks at the end do not count, and neither do blanks and what cannot be seen at either end, which
/// editors and copying leave there: no header could carry them (RFC 9113, section 8.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File(FilePath),
    Env(String),
    Value(SecretText),
}

/// The text of a secret. It is never shown: not by `Debug`, and it has no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    pub fn new(text: &str) -> Self {
        SecretText(text.into())
    }

    /// The secret itself, for the message that must carry it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Secret {
    /// Reads it; None when it cannot be had. Warns of a secret that stands in the config itself, and of characters in it
    /// that nobody sees.
    pub fn open(&self, problems: &mut Problems) -> Option<SecretText> {
        let key = self.0.key();
        let (text, padded) = match self.0.read() {
            Ok(read) => read,
            Err(wrong) => {
                problems.wrong(&[], wrong);
                return None;
            }
        };
        if padded {
            problems
                .warning(
                    &[key],
                    "this secret begins or ends with blanks or invisible characters, which are left out",
                )
                .help("write it without them, such as by `printf %s`");
        }
        if text.0.contains(is_invisible) {
            problems
                .warning(
                    &[key],
                    "this secret has an invisible character in it (a zero-width space or the like)",
                )
                .help("copy it anew: hardly any secret has one");
        }
        if let Source::Value(_) = self.0 {
            problems
                .warning(
                    &["value"],
                    "this secret stands in the config, where everyone who reads the config sees it",
                )
                .help("write `{ file = \"/path\" }` or `{ env = \"NAME\" }`");
        }
        Some(text)
    }
}

impl Source {
    /// The secret, and whether more than a line break was left out at an end.
    fn read(&self) -> Result<(SecretText, bool), Wrong> {
        let text = match self {
            Source::File(file) => String::from_utf8(file.read(LONGEST)?)
                .map_err(|_| format!("`{file}` is not text in UTF-8"))?,
            Source::Env(name) => std::env::var(name).map_err(|why| match why {
                VarError::NotPresent => {
                    Wrong::absent(format!("there is no environment variable `{name}`"))
                }
                VarError::NotUnicode(_) => Wrong::new(format!(
                    "the environment variable `{name}` is not text in UTF-8"
                )),
            })?,
            Source::Value(text) => text.reveal().to_owned(),
        };
        let line = text.trim_end_matches(['\r', '\n']);
        let text = line.trim_matches(|c| is_padding(c) || ['\r', '\n'].contains(&c));
        let padded = text.len() != line.len();
        let what = match self {
            Source::File(file) => format!("the secret in `{file}`"),
            Source::Env(name) => format!("the secret in the environment variable `{name}`"),
            Source::Value(_) => "the secret".to_owned(),
        };
        if text.is_empty() {
            return Err(format!("{what} is empty").into());
        }
        if text.contains(|c: char| c.is_control()) {
            return Err(Wrong::new(format!(
                "{what} has a line break or another control character in it"
            )));
        }
        Ok((SecretText::new(text), padded))
    }

    /// The key under which it stands.
    fn key(&self) -> &'static str {
        match self {
            Source::File(_) => "file",
            Source::Env(_) => "env",
            Source::Value(_) => "value",
        }
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SECRET, SecretVisitor)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    file: Option<FilePath>,
    env: Option<String>,
    value: Option<String>,
}

struct SecretVisitor;

fn no_table<T, E: de::Error>() -> Result<T, E> {
    Err(E::custom(Wrong::new(NO_TABLE).help(TABLE)))
}

/// Says what is wrong without the value, which may be the secret itself.
const NO_TABLE: &str = "a secret is not written here itself";
const TABLE: &str = "write `{ file = \"/path\" }` or `{ env = \"NAME\" }`";

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`{ file = \"/path\" }` or `{ env = \"NAME\" }`")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Secret, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Secret, A::Error> {
        let Table { file, env, value } = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Secret(match (file, env, value) {
            (Some(file), None, None) => Source::File(file),
            (None, Some(name), None) => Source::Env(name),
            (None, None, Some(value)) => Source::Value(SecretText::new(&value)),
            _ => {
                let wrong = Wrong::new("a secret has one source");
                return Err(de::Error::custom(
                    wrong.help("write one of `file`, `env` and `value`"),
                ));
            }
        }))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Secret, E> {
        no_table()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        no_table()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        no_table()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        no_table()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        no_table()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_map(Some(1))?;
        match &self.0 {
            Source::File(file) => table.serialize_entry("file", file)?,
            Source::Env(name) => table.serialize_entry("env", name)?,
            Source::Value(_) => table.serialize_entry("value", REDACTED)?,
        }
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, Serialize)]
    struct Block {
        secret: Secret,
    }

    fn read(value: &str) -> Result<Block, String> {
        toml::from_str(&format!("secret = {value}")).map_err(|e| e.message().to_owned())
    }

    /// The secret and the keys that are warned of, or what is wrong.
    fn open(value: &str) -> Result<(String, Vec<String>), String> {
        let mut problems = Problems::default();
        let text = read(value)?.secret.open(&mut problems);
        let mut found = problems.into_vec();
        match text {
            Some(text) => {
                let keys = found.iter().map(|problem| problem.at.join("."));
                Ok((text.reveal().to_owned(), keys.collect()))
            }
            None => Err(found.remove(0).message),
        }
    }

    #[test]
    fn a_secret_comes_from_a_file_without_its_last_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
            std::fs::write(&path, content).unwrap();
            let (text, _) = open(&format!("{{ file = {path:?} }}")).unwrap();
            assert_eq!(text, "s3cret");
        }
        for bad in ["", "\n", "a\nb", "a\tb"] {
            std::fs::write(&path, bad).unwrap();
            assert!(open(&format!("{{ file = {path:?} }}")).is_err(), "{bad:?}");
        }
        std::fs::write(&path, "a".repeat(LONGEST as usize + 1)).unwrap();
        assert!(open(&format!("{{ file = {path:?} }}")).is_err());
    }

    #[test]
    fn what_nobody_sees_at_an_end_is_left_out_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for (content, warnings) in [
            ("s3cret  \n", 1),
            ("\t s3cret\r\n", 1),
            ("\u{feff}s3cret", 1),
            ("s3cret\u{200b}\n\n", 1),
            ("s3cret\n \n", 1),
            ("s3cret\n", 0),
        ] {
            std::fs::write(&path, content).unwrap();
            let (text, found) = open(&format!("{{ file = {path:?} }}")).unwrap();
            assert_eq!(text, "s3cret", "{content:?}");
            assert_eq!(found, vec!["file"; warnings], "{content:?}");
        }
        let (text, found) = open("{ value = \" a\\u200Bb \" }").unwrap();
        assert_eq!((text.as_str(), found.len()), ("a\u{200b}b", 3));
        std::fs::write(&path, " \u{feff}\n").unwrap();
        let error = open(&format!("{{ file = {path:?} }}")).unwrap_err();
        assert!(error.contains("is empty"), "{error}");
    }

    #[test]
    fn a_secret_comes_from_the_environment() {
        let text = std::env::var("CARGO_PKG_NAME").unwrap();
        let secret = open("{ env = \"CARGO_PKG_NAME\" }");
        assert_eq!(secret, Ok((text, Vec::new())));
        let error = open("{ env = \"NO_SUCH_VARIABLE\" }").unwrap_err();
        assert!(error.contains("`NO_SUCH_VARIABLE`"), "{error}");
    }

    #[test]
    fn nothing_shows_it() {
        let block = read("{ value = \"s3cret\" }").unwrap();
        assert!(!format!("{block:?}").contains("s3cret"));
        assert_eq!(
            serde_json::to_string(&block).unwrap(),
            r#"{"secret":{"value":"[redacted]"}}"#
        );
        let (_, found) = open("{ value = \"s3cret\" }").unwrap();
        assert_eq!(found, ["value"]);
    }

    #[test]
    fn a_problem_does_not_show_it_either() {
        for text in [
            "\"s3cret\"",
            "73",
            "{ value = \"s3cret\", env = \"A\" }",
            "{ value = \"s3cret\\n1\" }",
        ] {
            let error = open(text).unwrap_err();
            assert!(
                !error.contains("s3cret") && !error.contains("73"),
                "{error}"
            );
        }
    }
}
