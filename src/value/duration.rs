//! Lengths of time, and limits on time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Wrong;
use super::from_text::{text, text_value};

/// A length of time, written `"250ms"`, `"2s"`, `"5m"` or `"1h"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub std::time::Duration);

/// The longest duration, 365 days. An instant that far away can be computed with.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

impl Duration {
    pub const fn from_secs(secs: u64) -> Self {
        Duration(std::time::Duration::from_secs(secs))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Duration(std::time::Duration::from_millis(millis))
    }
}

impl FromStr for Duration {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Wrong::new(format!("`{text}` has no unit")).help(format!(
                "write \"{text}s\" for seconds or \"{text}ms\" for milliseconds"
            )));
        }
        let length = humantime::parse_duration(text).map_err(|_| {
            Wrong::new(format!("`{text}` is not a duration"))
                .help("write it like \"250ms\", \"2s\", \"5m\" or \"1h\"")
        })?;
        // Nothing here is meant to take months, and whoever writes `5M` means minutes.
        if text.contains('M') {
            let minutes = text.replace('M', "m");
            return Err(Wrong::new(format!("`{text}` means months"))
                .help(format!("write \"{minutes}\" for minutes")));
        }
        if length > LONGEST {
            return Err(Wrong::new(format!("`{text}` is too long"))
                .help("the longest duration is 365 days"));
        }
        Ok(Duration(length))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

/// A length of time, or `"none"` for no limit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<std::time::Duration>);

impl Limit {
    pub const NONE: Limit = Limit(None);

    pub const fn from_secs(secs: u64) -> Self {
        Limit(Some(std::time::Duration::from_secs(secs)))
    }
}

impl FromStr for Limit {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "none" => Ok(Limit::NONE),
            text => Ok(Limit(Some(text.parse::<Duration>()?.0))),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(length) => Duration(length).fmt(f),
            None => f.write_str("none"),
        }
    }
}

text_value! {
    Duration, "a duration such as \"250ms\", \"2s\" or \"5m\"";
    Limit, "a duration such as \"250ms\" or \"2s\", or \"none\"";
}
