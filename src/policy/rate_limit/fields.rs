//! `RateLimit` and `RateLimit-Policy`, by draft-ietf-httpapi-ratelimit-headers-10.
//!
//! A limit is named by its key; of several with the same key the second ends in `-2`. `q` requests are granted in
//! `w` seconds. `r` requests are left now, and `t` seconds from now all of them are there again.

use std::fmt::Write;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::bucket::TOKEN;
use super::key::Key;

pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The name of the `nth` limit with this key, counting from 0.
pub fn name(key: &Key, nth: usize) -> String {
    match nth {
        0 => key.to_string(),
        nth => format!("{key}-{}", nth + 1),
    }
}

/// One item of `RateLimit-Policy`. Its window is in whole seconds, so one that is not is shown as the next longer.
pub fn policy(name: &str, requests: u32, per: Duration) -> String {
    let window = per.as_nanos().div_ceil(1_000_000_000);
    let quota = u128::from(requests) * window * 1_000_000_000 / per.as_nanos().max(1);
    format!("\"{name}\";q={quota};w={window}")
}

/// Adds an item of `RateLimit`.
pub fn add(list: &mut String, name: &str, owed: u64, burst: u64, rate: f64) {
    let left = burst.saturating_sub(owed) / TOKEN;
    let full_in = seconds(owed, rate);
    let comma = if list.is_empty() { "" } else { ", " };
    let _infallible = write!(list, "{comma}\"{name}\";r={left};t={full_in}");
}

/// How long `rate` takes for so much, in seconds, rounded up.
pub fn seconds(tokens: u64, rate: f64) -> u64 {
    let exactly = tokens as f64 / TOKEN as f64 / rate;
    // What a rounding error adds is no second more.
    (exactly - 1e-6).ceil().max(0.0) as u64
}

/// A header's value out of these items, which are made of names and numbers.
pub fn value(list: &str) -> HeaderValue {
    HeaderValue::from_str(list).unwrap_or_else(|_| HeaderValue::from_static(""))
}
