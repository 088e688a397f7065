//! The access log: one line of JSON a request, with OpenTelemetry's names for what has one (its semantic
//! conventions for HTTP) and `outrigger.*` for the rest.
//!
//! Credentials stay out: of a request's headers and query nothing is shown but what `access_log_headers` names.

use std::cell::RefCell;
use std::io::Write;
use std::net::IpAddr;
use std::time::SystemTime;

use http::{HeaderName, Version};
use tracing_appender::non_blocking::NonBlocking;

use crate::http::headers::Headers;

/// In `access_log_headers`: show the query.
const QUERY: &str = "?";

/// Room for a usual line, so that the buffer grows seldom.
const LINE: usize = 512;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(LINE));
}

/// Writes a line for each request that ended.
pub struct AccessLog<W = NonBlocking> {
    out: W,
    headers: Vec<HeaderName>,
    query: bool,
}

/// What one line says. Text that is not there is left out of the line.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Not known of every request whose head was refused, as the path and the version.
    pub method: Option<&'a str>,
    pub path: Option<&'a str>,
    /// Shown only when the config asks for it.
    pub query: Option<&'a str>,
    /// The host that the caller asked for, without port.
    pub host: Option<&'a str>,
    /// None on a unix socket.
    pub client: Option<IpAddr>,
    /// Who the caller has proven to be.
    pub identity: Option<&'a str>,
    /// In which the caller spoke.
    pub version: Option<Version>,
    /// What the caller was told.
    pub status: u16,
    /// With which status a call of gRPC has ended.
    pub grpc_status: Option<u8>,
    /// Bytes of the request's body, as far as it was read.
    pub request_bytes: u64,
    /// Bytes of the response's body, as far as it was sent.
    pub response_bytes: u64,
    /// From the request's head to the end of the answer.
    pub seconds: f64,
    pub listener: &'a str,
    pub route: Option<&'a str>,
    pub upstream: Option<&'a str>,
    /// The endpoint's address.
    pub endpoint: Option<&'a str>,
    /// How often the request was given to an endpoint. Shown when it failed here, or was sent again.
    pub attempts: Option<u32>,
    /// Why the proxy itself made the answer.
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    pub detail: Option<&'a str>,
    pub request_id: &'a str,
    pub headers: &'a Captured,
}

/// Those of a request's headers that the log shows, kept until its line is written.
#[derive(Clone, Debug, Default)]
pub struct Captured(Vec<u8>);

impl<W: Write + Clone> AccessLog<W> {
    /// `shown` is the config's `access_log_headers`: header names, and `"?"` for the query. Names that no header
    /// can have are passed over; the config's check reports them.
    pub fn new(shown: &[String], out: W) -> Self {
        let mut headers: Vec<HeaderName> = shown
            .iter()
            .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
            .collect();
        // Named twice, a header would make two members of one name.
        headers.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        AccessLog {
            out,
            headers,
            query: shown.iter().any(|name| name == QUERY),
        }
    }

    /// Takes what the line will show of a request's headers, before they are changed or sent on. Costs nothing
    /// when no header is shown.
    pub fn capture(&self, headers: &Headers) -> Captured {
        let mut members = Vec::new();
        for name in &self.headers {
            let mut values = headers.get_all(name).peekable();
            if values.peek().is_none() {
                continue;
            }
            members.extend_from_slice(b",\"http.request.header.");
            members.extend_from_slice(name.as_str().as_bytes());
            members.extend_from_slice(b"\":");
            let mut before: &[u8] = b"[";
            for value in values {
                members.extend_from_slice(before);
                string(&mut members, &String::from_utf8_lossy(value));
                before = b",";
            }
            members.push(b']');
        }
        Captured(members)
    }

    /// Writes one line. What cannot be written is lost, and counted by whoever owns the writer.
    pub fn write(&self, record: &Record<'_>) {
        BUFFER.with_borrow_mut(|line| {
            line.clear();
            self.format(line, SystemTime::now(), record);
            let _ = self.out.clone().write_all(line);
            if line.capacity() > 16 * LINE {
                line.shrink_to(LINE);
            }
        });
    }

    fn format(&self, line: &mut Vec<u8>, now: SystemTime, record: &Record<'_>) {
        let query = record.query.filter(|_| self.query);
        let time = humantime::format_rfc3339_micros(now);
        // Writing to a Vec cannot fail.
        let _ = write!(line, "{{\"timestamp\":\"{time}\"");
        text(line, "http.request.method", record.method);
        text(line, "url.path", record.path);
        text(line, "url.query", query);
        text(line, "server.address", record.host);
        if let Some(client) = record.client {
            let _ = write!(line, ",\"client.address\":\"{client}\"");
        }
        text(
            line,
            "network.protocol.version",
            record.version.map(version),
        );
        let _ = write!(
            line,
            ",\"http.response.status_code\":{},\"http.request.body.size\":{},\"http.response.body.size\":{},\
             \"http.server.request.duration\":{:.6}",
            record.status, record.request_bytes, record.response_bytes, record.seconds
        );
        if let Some(status) = record.grpc_status {
            let _ = write!(line, ",\"rpc.grpc.status_code\":{status}");
        }
        text(line, "outrigger.identity", record.identity);
        text(line, "outrigger.listener", Some(record.listener));
        text(line, "outrigger.route", record.route);
        text(line, "outrigger.upstream", record.upstream);
        text(line, "outrigger.endpoint", record.endpoint);
        if let Some(attempts) = record.attempts
            && (attempts > 1 || record.reason.is_some())
        {
            let _ = write!(line, ",\"outrigger.attempts\":{attempts}");
        }
        text(line, "outrigger.reason", record.reason);
        text(line, "outrigger.detail", record.detail);
        text(line, "outrigger.request_id", Some(record.request_id));
        line.extend_from_slice(&record.headers.0);
        line.extend_from_slice(b"}\n");
    }
}

fn text(line: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = write!(line, ",\"{name}\":");
        string(line, value);
    }
}

/// A JSON string, escaped.
fn string(line: &mut Vec<u8>, value: &str) {
    // Neither a string nor a Vec gives serde_json anything to fail at.
    let _ = serde_json::to_writer(line, value);
}

/// As OpenTelemetry's `network.protocol.version` has it.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
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
        reason: Some("overloaded"),
        detail: Some("as many requests as allowed are under way"),
        request_id: "id-1",
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

    proptest! {
        #[test]
        fn whatever_a_caller_sends_stays_one_line_of_json(
            path in any::<String>(), host in any::<String>(), value in proptest::collection::vec(any::<u8>(), 0..40)
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
}
