//! The span of a request, by OpenTelemetry's semantic conventions: those for HTTP servers, and those for who processes
//! messages.
//!
//! Its name is bounded by the config. Of what the caller sent it has the path and the agent's name; no query, and no header
//! else.

use std::net::IpAddr;

use http::{Method, StatusCode, header};

use super::serving::Serving;
use crate::http::error::{CALLER_GONE, Reason};
use crate::http::grpc::Status;
use crate::http::message::{Request, ServedBy};
use crate::http::peer::{PeerAddress, Source};
use crate::http::semantics::authority::host_and_port;
use crate::http::trace_heads;
use crate::trace::{Kind, Span, key};

/// How a request ended.
pub struct Ended<'a> {
    pub method: Option<&'a Method>,
    /// Where the message comes from, if it delivers one.
    pub source: Option<&'a Source>,
    pub route: Option<&'a str>,
    /// The path of the route's match.
    pub path: Option<&'a str>,
    pub status: StatusCode,
    pub reason: Option<Reason>,
    pub grpc_status: Option<Status>,
    pub served_by: Option<&'a ServedBy>,
}

/// Has a caller's request stand in a trace, if traces are looked at. Its span, if it is recorded.
#[inline]
pub fn begin(request: &mut Request, serving: &Serving) -> Option<Box<Span>> {
    let tracer = serving.tracer.as_ref()?;
    let span = trace_heads::begin(request, tracer, Kind::Server)?;
    Some(of_caller(span, request))
}

/// The same for a request that the proxy makes itself: it delivers a message, or is asked for by another one.
pub fn begin_own(request: &mut Request, serving: &Serving) -> Option<Box<Span>> {
    let tracer = serving.tracer.as_ref()?;
    if request.context.peer.source.is_some() {
        let mut span = trace_heads::begin(request, tracer, Kind::Consumer)?;
        of_message(&mut span, request);
        Some(span)
    } else {
        let span = trace_heads::begin(request, tracer, Kind::Internal)?;
        Some(of_caller(span, request))
    }
}

#[cold]
fn of_caller(mut span: Box<Span>, request: &Request) -> Box<Span> {
    let peer = &request.context.peer;
    span.text(
        key!("url.scheme"),
        if peer.encrypted { "https" } else { "http" },
    );
    span.text(key!("url.path"), request.target.path());
    if let Some(authority) = &request.authority {
        let (host, port) = host_and_port(authority.as_str());
        span.text(key!("server.address"), host);
        if let Some(port) = port {
            span.number(key!("server.port"), port);
        }
    }
    let client = request.context.client.map(|client| (client, text(client)));
    if let Some((_, text)) = &client {
        span.text(key!("client.address"), text);
    }
    if let PeerAddress::Tcp(address) = peer.address {
        // As a rule they are the same.
        match &client {
            Some((client, text)) if *client == address.ip() => {
                span.text(key!("network.peer.address"), text);
            }
            _ => span.text(key!("network.peer.address"), &text(address.ip())),
        }
        span.number(key!("network.peer.port"), address.port().into());
    }
    span.text(key!("network.protocol.version"), version(request.version));
    if let Some(agent) = request.headers.get_str(&header::USER_AGENT) {
        span.text(key!("user_agent.original"), agent);
    }
    common(&mut span, request);
    span
}

#[cold]
fn of_message(span: &mut Span, request: &Request) {
    if let Some(source) = &request.context.peer.source {
        span.text(key!("messaging.system"), source.system);
        span.text(key!("messaging.operation.type"), "process");
        span.text(key!("messaging.operation.name"), "process");
        span.text(key!("messaging.destination.name"), &source.destination);
    }
    let id = http::HeaderName::from_static("outrigger-message-id");
    if let Some(id) = request.headers.get_str(&id) {
        span.text(key!("messaging.message.id"), id);
    }
    common(span, request);
}

fn common(span: &mut Span, request: &Request) {
    let context = &request.context;
    span.text(key!("outrigger.listener"), &context.peer.listener);
    span.ascii(key!("outrigger.request_id"), context.request_id.as_bytes());
}

/// Has the span of a request tell how that ended.
#[cold]
pub fn describe(span: &mut Span, ended: &Ended<'_>) {
    match ended.source {
        Some(source) => span.rename(["process ", &source.destination]),
        None => {
            let method = ended.method.map_or("HTTP", |method| known(method));
            match ended.path.or(ended.route) {
                Some(of) => span.rename([method, " ", of]),
                None => span.rename([method]),
            }
            span.text(
                key!("http.request.method"),
                if method == "HTTP" { "_OTHER" } else { method },
            );
            if let Some(path) = ended.path {
                span.text(key!("http.route"), path);
            }
        }
    }
    if let Some(route) = ended.route {
        span.text(key!("outrigger.route"), route);
    }
    if let Some(by) = ended.served_by {
        span.text(key!("outrigger.upstream"), &by.upstream);
        span.number(key!("outrigger.attempts"), by.attempts.into());
    }
    if let Some(reason) = ended.reason {
        span.text(key!("outrigger.reason"), reason.name);
    }
    // Who has left was told nothing.
    if ended.reason != Some(CALLER_GONE) {
        span.number(
            key!("http.response.status_code"),
            ended.status.as_u16().into(),
        );
    }
    if let Some(status) = ended.grpc_status {
        span.number(key!("rpc.grpc.status_code"), status.code().into());
    }
    if let Some(error_type) = error_type(ended) {
        span.fails(&error_type);
    }
}

/// Why it counts as failed; None where it is well, or the caller's fault.
fn error_type(ended: &Ended<'_>) -> Option<String> {
    let is_message = ended.source.is_some();
    if let Some(status) = ended.grpc_status
        && status.is_of_server()
    {
        return Some(status.name().to_owned());
    }
    let failed = ended.status.is_server_error() || is_message && ended.status.as_u16() >= 400;
    // An answer that broke off had a good head.
    let broke_off = ended
        .reason
        .filter(|reason| reason.status >= 500 && ended.status.as_u16() < 400);
    if let Some(reason) = ended.reason.filter(|_| failed).or(broke_off) {
        return Some(reason.name.to_owned());
    }
    failed.then(|| ended.status.as_u16().to_string())
}

/// The methods of RFC 9110 and RFC 5789; others are many.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::DELETE
        | Method::CONNECT
        | Method::OPTIONS
        | Method::TRACE
        | Method::PATCH => method.as_str(),
        _ => "HTTP",
    }
}

/// An address as it is written. That of version 4 without the formatter, which takes ten times as long.
fn text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity(15);
    for (place, number) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        for (size, over) in [(100, 99), (10, 9)] {
            if number > over {
                text.push(char::from(b'0' + number / size % 10));
            }
        }
        text.push(char::from(b'0' + number % 10));
    }
    text
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_everywhere() {
        for number in 0..=255 {
            let address = IpAddr::from([number, 0, 255 - number, 9]);
            assert_eq!(text(address), address.to_string());
        }
        assert_eq!(text(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])), "::1");
    }
}
