//! A header name as the config writes it.

use http::{HeaderName, header};
use serde::{Deserialize, Serialize};

use crate::value::{Wrong, read_header_name};

/// A header name in the config. It compares without case in messages, and is shown as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FieldName {
    written: String,
    name: HeaderName,
}

impl FieldName {
    pub fn name(&self) -> &HeaderName {
        &self.name
    }

    /// The name as the config writes it: the key of its entry.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether it describes the connection or the framing of the body (RFC 9110, section 7.6.1, and RFC 9112,
    /// section 6): the protocols write these, and nobody else may.
    pub fn is_framing(&self) -> bool {
        const OTHERS: [&str; 2] = ["keep-alive", "proxy-connection"];
        [
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TE,
            header::TRAILER,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
        ]
        .contains(&self.name)
            || OTHERS.contains(&self.name.as_str())
    }
}

impl TryFrom<String> for FieldName {
    type Error = Wrong;

    fn try_from(written: String) -> Result<Self, Wrong> {
        let name = read_header_name(&written)?;
        Ok(FieldName { written, name })
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> String {
        name.written
    }
}

/// By what was written, so that two spellings of a name are two keys, and neither is lost.
impl Ord for FieldName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.written.cmp(&other.written)
    }
}

impl PartialOrd for FieldName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_a_name_are_two_keys_of_one_header() {
        let [a, b] = ["X-A", "x-a"].map(|n| FieldName::try_from(n.to_owned()).unwrap());
        assert_ne!(a, b);
        assert_eq!(a.name(), b.name());
        assert!(FieldName::try_from("x a".to_owned()).is_err());
    }
}
