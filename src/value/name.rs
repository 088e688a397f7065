//! Names of tables.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Wrong;
use super::from_text::{text, text_value};

/// The name of a table such as `[routes.NAME]`: `[a-z0-9][a-z0-9_-]{0,62}`. It becomes a metric label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(std::sync::Arc<str>);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> std::sync::Arc<str> {
        self.0.clone()
    }
}

impl FromStr for Name {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        let good = text.len() <= 63
            && text.bytes().all(inner)
            && text.bytes().next().is_some_and(|b| b != b'_' && b != b'-');
        if good {
            Ok(Name(text.into()))
        } else {
            Err(Wrong::new(format!("`{text}` is not a name"))
                .help("write 1 to 63 of a-z, 0-9, `_` and `-`, starting with a letter or digit"))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_value! {
    Name, "a name";
}
