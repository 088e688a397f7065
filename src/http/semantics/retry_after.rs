//! `Retry-After`: when it is worth to ask again (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderValue, header};

use crate::http::headers::Headers;

/// What an answer says: a number of seconds, or a date.
pub fn read(headers: &Headers) -> Option<Duration> {
    let value = headers.get_str(&header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The value for a wait: whole seconds, never less than it, and at least one.
pub fn write(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let read = |value: &str| read(&headers(&[("retry-after", value)]));
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::ZERO),
            "a date that has passed"
        );
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let soon = read(&soon).unwrap().as_secs();
        assert!((50..=60).contains(&soon), "{soon}");
        for wrong in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (2000, "2")] {
            assert_eq!(write(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }
}
