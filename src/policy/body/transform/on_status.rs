//! `response.on_status`: of which answers the bodies are changed.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{OneOrMany, Wrong, text};

/// The answers whose bodies are changed.
pub type OnStatus = OneOrMany<Statuses>;

/// Statuses of answers: `"any"`, `"2xx"`, `"404"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    Any,
    /// By its first digit.
    Class(u16),
    One(u16),
}

/// Successes, unless the config says otherwise: a step is written for what the upstream answers when all is well, and
/// would turn the body of an error, which is another document, into one that tells nothing.
pub fn by_default() -> OnStatus {
    OneOrMany(vec![Statuses::Class(2)])
}

/// Whether answers of this status are changed. Part of what a 200 would bring (206; RFC 9110, section 15.3.7) is one of
/// those: else whoever asks for a range would be shown what a step removes.
pub fn has(answers: &OnStatus, status: StatusCode) -> bool {
    let whole = (status == StatusCode::PARTIAL_CONTENT).then_some(StatusCode::OK);
    let mut statuses = std::iter::once(status).chain(whole);
    statuses.any(|status| answers.0.iter().any(|of| of.have(status)))
}

impl Statuses {
    fn have(self, status: StatusCode) -> bool {
        match self {
            Statuses::Any => true,
            Statuses::Class(first) => status.as_u16() / 100 == first,
            Statuses::One(one) => status.as_u16() == one,
        }
    }
}

impl FromStr for Statuses {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let class = text.strip_suffix("xx").or(text.strip_suffix("XX"));
        let number = class.unwrap_or(text).parse::<u16>().ok();
        match (text, class, number) {
            ("any", ..) => Ok(Statuses::Any),
            (_, Some(_), Some(first @ 2..=5)) => Ok(Statuses::Class(first)),
            (_, None, Some(one @ 200..=599)) => Ok(Statuses::One(one)),
            _ => Err(Wrong::new(format!("`{text}` is not a status of an answer"))
                .help("write \"any\", or a list such as [\"2xx\", \"404\"]")),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Statuses::Any => f.write_str("any"),
            Statuses::Class(first) => write!(f, "{first}xx"),
            Statuses::One(one) => write!(f, "{one}"),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "text such as \"any\", \"2xx\" or \"404\"")
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_and_found() {
        for (text, within, without) in [
            ("any", 500, 0),
            ("2xx", 204, 304),
            ("4xx", 404, 500),
            ("404", 404, 400),
        ] {
            let statuses: Statuses = text.parse().unwrap();
            assert_eq!(statuses.to_string(), text);
            let have = |status| StatusCode::from_u16(status).is_ok_and(|s| statuses.have(s));
            assert!(have(within) && !have(without), "{text}");
        }
        for text in ["", "xx", "1xx", "6xx", "199", "600", "all", "2x", "20xx"] {
            assert!(text.parse::<Statuses>().is_err(), "{text}");
        }
    }
}
