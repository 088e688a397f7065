//! The access log: one line of JSON a request or a connection that is passed on, with OpenTelemetry's names for what has one (its semantic
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
use crate::trace::TraceId;

mod connection;
#[cfg(test)]
mod tests;

pub use connection::Connection;

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
    /// How often the request was given to an endpoint.
    pub attempts: Option<u32>,
    /// How long endpoints had it, up to the head of an answer each; of several attempts the sum.
    pub upstream_seconds: Option<f64>,
    /// Why the proxy itself made the answer.
    pub reason: Option<&'static str>,
    /// The same in a sentence.
    pub detail: Option<&'a str>,
    pub request_id: &'a str,
    /// The trace that it belongs to.
    pub trace: Option<TraceId>,
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
        self.write_line(|line| self.format(line, SystemTime::now(), record));
    }

    fn write_line(&self, format: impl FnOnce(&mut Vec<u8>)) {
        BUFFER.with_borrow_mut(|line| {
            line.clear();
            format(line);
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
        if let Some(attempts) = record.attempts {
            let _ = write!(line, ",\"outrigger.attempts\":{attempts}");
        }
        if let Some(seconds) = record.upstream_seconds {
            let _ = write!(line, ",\"outrigger.upstream_duration\":{seconds:.6}");
        }
        text(line, "outrigger.reason", record.reason);
        text(line, "outrigger.detail", record.detail);
        text(line, "outrigger.request_id", Some(record.request_id));
        if let Some(trace) = record.trace {
            let _ = write!(line, ",\"trace_id\":\"{trace}\"");
        }
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
