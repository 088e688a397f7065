use std::sync::{Arc, Mutex};

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const RECORD: Record<'_> = Record {
    method: Some("POST"),
    path: Some("/v1/charges"),
    query: Some("token=s3cret"),
    host: Some("payments.localhost"),
    client: None,
    identity: Some("spiffe://td/app"),
    version: Some(Version::HTTP_2),
    status: 503,
    grpc_status: None,
    request_bytes: 12,
    response_bytes: 345,
    seconds: 0.001_5,
    listener: "outbound",
    route: Some("pay"),
    upstream: Some("payments"),
    endpoint: None,
    attempts: Some(2),
    upstream_seconds: None,
    reason: Some("overloaded"),
    detail: Some("as many requests as allowed are under way"),
    request_id: "id-1",
    trace: None,
    headers: &Captured(Vec::new()),
};

fn request_headers() -> Headers {
    let mut headers = Headers::new();
    for (name, value) in [
        ("authorization", "Bearer s3cret"),
        ("cookie", "session=s3cret"),
        ("x-api-key", "s3cret"),
        ("x-tenant", "acme"),
        ("x-tenant", "\"two\""),
    ] {
        headers.append(
            &HeaderName::from_static(name),
            &HeaderValue::from_static(value),
        );
    }
    headers
}

fn logged(shown: &[&str], record: Record<'_>) -> String {
    let lines = Lines::default();
    let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
    let log = AccessLog::new(&shown, lines.clone());
    let headers = log.capture(&request_headers());
    log.write(&Record {
        headers: &headers,
        ..record
    });
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

/// A number with these very digits.
fn number(digits: &str) -> serde_json::Number {
    digits.parse().unwrap()
}

#[test]
fn a_line_says_what_happened_in_opentelemetry_names() {
    let line = logged(&[], RECORD);
    assert_eq!(line.matches('\n').count(), 1);
    let mut line: Value = serde_json::from_str(&line).unwrap();
    let timestamp = line["timestamp"].take();
    let timestamp = humantime::parse_rfc3339(timestamp.as_str().unwrap()).unwrap();
    assert!(timestamp <= SystemTime::now());
    assert_eq!(
        line,
        serde_json::json!({
            "timestamp": null,
            "http.request.method": "POST",
            "url.path": "/v1/charges",
            "server.address": "payments.localhost",
            "network.protocol.version": "2",
            "http.response.status_code": 503,
            "http.request.body.size": 12,
            "http.response.body.size": 345,
            "http.server.request.duration": number("0.001500"),
            "outrigger.identity": "spiffe://td/app",
            "outrigger.listener": "outbound",
            "outrigger.route": "pay",
            "outrigger.upstream": "payments",
            "outrigger.attempts": 2,
            "outrigger.reason": "overloaded",
            "outrigger.detail": "as many requests as allowed are under way",
            "outrigger.request_id": "id-1",
        })
    );
}

#[test]
fn secrets_never_appear_unless_asked_for() {
    assert!(!logged(&[], RECORD).contains("s3cret"));
    assert!(!logged(&["x-tenant", "content-type"], RECORD).contains("s3cret"));
}

#[test]
fn what_is_listed_is_shown() {
    let line: Value = serde_json::from_str(&logged(
        &["X-Tenant", "Authorization", "x-absent", "?"],
        RECORD,
    ))
    .unwrap();
    assert_eq!(
        line["http.request.header.x-tenant"],
        serde_json::json!(["acme", "\"two\""])
    );
    assert_eq!(
        line["http.request.header.authorization"],
        serde_json::json!(["Bearer s3cret"])
    );
    assert_eq!(line["url.query"], "token=s3cret");
    assert!(line.get("http.request.header.x-absent").is_none());
    assert!(line.get("http.request.header.cookie").is_none());
}

#[test]
fn a_header_listed_twice_is_shown_once() {
    let line = logged(&["x-tenant", "X-Tenant"], RECORD);
    assert_eq!(line.matches("x-tenant").count(), 1);
}

#[test]
fn what_is_not_known_is_left_out() {
    let record = Record {
        method: None,
        path: None,
        version: None,
        ..RECORD
    };
    let line: Value = serde_json::from_str(&logged(&[], record)).unwrap();
    for name in [
        "http.request.method",
        "url.path",
        "network.protocol.version",
        "rpc.grpc.status_code",
    ] {
        assert!(line.get(name).is_none(), "{name} in {line}");
    }
}

#[test]
fn a_call_of_grpc_shows_its_status() {
    let record = Record {
        grpc_status: Some(14),
        ..RECORD
    };
    let line: Value = serde_json::from_str(&logged(&[], record)).unwrap();
    assert_eq!(line["rpc.grpc.status_code"], 14);
}

#[test]
fn a_line_names_the_client() {
    let client = Some("2001:db8::1".parse().unwrap());
    let line: Value = serde_json::from_str(&logged(&[], Record { client, ..RECORD })).unwrap();
    assert_eq!(line["client.address"], "2001:db8::1");
}

/// A byte that the value of a field may have.
fn field_byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=u8::MAX]
}

proptest! {
    #[test]
    fn whatever_a_caller_sends_stays_one_line_of_json(
        path in any::<String>(), host in any::<String>(), value in proptest::collection::vec(field_byte(), 0..40)
    ) {
        let lines = Lines::default();
        let log = AccessLog::new(&["x-any".to_owned()], lines.clone());
        let mut received = value.clone();
        received.splice(0..0, *b"x-any");
        let mut spans = crate::http::headers::Spans::with_capacity(1);
        spans.push(b"x-any", 0, 5, value.len());
        let headers = Headers::from_received(received.into(), spans);
        log.write(&Record {
            path: Some(&path),
            host: Some(&host),
            headers: &log.capture(&headers),
            ..RECORD
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        prop_assert_eq!(text.matches('\n').count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(line["url.path"].as_str(), Some(&*path));
        prop_assert_eq!(line["server.address"].as_str(), Some(&*host));
        prop_assert_eq!(
            line["http.request.header.x-any"][0].as_str(),
            Some(&*String::from_utf8_lossy(&value))
        );
    }
}
