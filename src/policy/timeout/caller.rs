//! How long a caller says that it will wait, and how long the upstream is told that it has.
//!
//! `grpc-timeout` is that of the gRPC protocol; `x-request-timeout` is a duration such as `250ms` or `2s`, or a
//! number of seconds such as `1.5`. Either may only shorten what the route allows. What is malformed counts as not
//! said, and passes on as it came.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::http::exchange::Limits;
use crate::http::grpc::timeout;
use crate::http::headers::Names;
use crate::http::message::Request;

static REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// How long the caller will wait at most.
pub fn limit(request: &Request) -> Option<Duration> {
    const BOTH: Names = Names::new(&["grpc-timeout", "x-request-timeout"]);
    if !request.headers.may_have(&BOTH) {
        return None;
    }
    let read = |name, parse: fn(&str) -> Option<Duration>| {
        let text = request.headers.get_str(name)?;
        parse(text.trim())
    };
    let (grpc, other) = (
        read(&timeout::NAME, timeout::read),
        read(&REQUEST_TIMEOUT, parse),
    );
    match (grpc, other) {
        (Some(grpc), Some(other)) => Some(grpc.min(other)),
        (grpc, other) => grpc.or(other),
    }
}

/// Tells the upstream how much is left until the deadline: by `grpc-timeout` a gRPC server always, by
/// `x-request-timeout` one whose caller said it so.
pub fn tell_time_left(request: &mut Request, limits: &Limits) {
    let Some(deadline) = limits.deadline else {
        return;
    };
    let left = || deadline.saturating_duration_since(Instant::now());
    if request.dialect().is_grpc() {
        put(request, &timeout::NAME, &timeout::write(left()));
    }
    let said = request.headers.get_str(&REQUEST_TIMEOUT).map(str::trim);
    if let Some(said) = said.filter(|text| parse(text).is_some()) {
        let left = left();
        let text = if said.ends_with(|c: char| c.is_ascii_digit()) {
            format!("{}.{:03}", left.as_secs(), left.subsec_millis())
        } else {
            format!("{}ms", left.as_millis())
        };
        put(request, &REQUEST_TIMEOUT, &text);
    }
}

fn put(request: &mut Request, name: &HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        request.headers.insert(name, &value);
    }
}

fn parse(text: &str) -> Option<Duration> {
    let number = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if number {
        Duration::try_from_secs_f64(text.parse().ok()?).ok()
    } else {
        text.parse::<crate::value::Duration>().ok().map(|d| d.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};
    use proptest::prelude::*;

    fn asking(fields: &[(&str, &str)]) -> Box<Request> {
        let mut request = request("GET", "/");
        request.headers = headers(fields);
        request
    }

    #[test]
    fn what_a_caller_says_is_understood() {
        let limit = |fields: &[_]| limit(&asking(fields)).map(|d| d.as_millis());
        assert_eq!(limit(&[("grpc-timeout", "250m")]), Some(250));
        assert_eq!(limit(&[("grpc-timeout", "2S")]), Some(2000));
        assert_eq!(
            limit(&[("grpc-timeout", "99999999H")]),
            Some(359_999_996_400_000)
        );
        assert_eq!(limit(&[("x-request-timeout", "1.5")]), Some(1500));
        assert_eq!(limit(&[("x-request-timeout", "250ms")]), Some(250));
        let both = [("x-request-timeout", "3s"), ("grpc-timeout", "2S")];
        assert_eq!(limit(&both), Some(2000));
        for wrong in ["", "m", "1", "-1S", "123456789m", "1s", "é"] {
            assert_eq!(limit(&[("grpc-timeout", wrong)]), None, "{wrong}");
        }
        for wrong in ["", ".", "soon", "-1", "1e3", "1.2.3"] {
            assert_eq!(limit(&[("x-request-timeout", wrong)]), None, "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_upstream_is_told_what_is_left() {
        let told = |fields: &[(&str, &str)], name: &HeaderName| {
            let mut request = asking(fields);
            let limits = Limits {
                deadline: Some(Instant::now() + Duration::from_millis(1500)),
                ..Limits::default()
            };
            tell_time_left(&mut request, &limits);
            request.headers.get_str(name).map(str::to_owned)
        };
        let call = ("content-type", "application/grpc");
        assert_eq!(told(&[call], &timeout::NAME).unwrap(), "1500000u");
        let page = ("content-type", "application/grpc-web-text");
        let said = ("grpc-timeout", "3S");
        assert_eq!(told(&[page, said], &timeout::NAME).unwrap(), "1500000u");
        assert_eq!(told(&[], &timeout::NAME), None);
        for (said, told_then) in [
            ("3s", Some("1500ms")),
            ("3", Some("1.500")),
            ("?", Some("?")),
        ] {
            let told = told(&[("x-request-timeout", said)], &REQUEST_TIMEOUT);
            assert_eq!(told.as_deref(), told_then);
        }
        assert_eq!(told(&[], &REQUEST_TIMEOUT), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_limit_or_none(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
