//! One limit, as it is written.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use super::key::Key;
use crate::value;

/// `rate_limit = { requests = 100, per = "1s", burst = 100, key = "route", shadow = false }`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many are granted in the long run.
    pub requests: NonZeroU32,
    /// In which time. Default: 1 s.
    #[serde(default = "one_second", deserialize_with = "long_enough")]
    pub per: value::Duration,
    /// How many are granted at once after a pause. Default: as many as `requests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Requests with the same one are counted together.
    #[serde(default)]
    pub key: Key,
    /// Count what would be refused, and let it pass.
    #[serde(default)]
    pub shadow: bool,
    /// How many keys have a bucket of their own. Above it, new ones share one until some other key has been
    /// silent for long enough to be as good as new.
    #[serde(default = "max_keys")]
    pub max_keys: NonZeroU32,
    /// Tell callers with each answer what is left, not only when they are refused.
    #[serde(default)]
    pub headers: bool,
}

fn one_second() -> value::Duration {
    value::Duration::from_secs(1)
}

fn max_keys() -> NonZeroU32 {
    const { NonZeroU32::new(10_000).unwrap() }
}

fn long_enough<'de, D: Deserializer<'de>>(deserializer: D) -> Result<value::Duration, D::Error> {
    let per = value::Duration::deserialize(deserializer)?;
    if per.0 < Duration::from_millis(1) {
        Err(de::Error::custom("must be at least \"1ms\""))
    } else {
        Ok(per)
    }
}
