//! The span of an attempt, by OpenTelemetry's semantic conventions for HTTP clients. It lasts to the end of the answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::meaning::Outcome;
use crate::http::grpc::Status;
use crate::http::headers::Headers;
use crate::http::message::{Request, Tried};
use crate::http::trace_heads;
use crate::trace::{Kind, Span};
use crate::upstream::endpoints::address::Address;
use crate::upstream::{Endpoint, Upstream};

/// What is recorded of an attempt.
#[derive(Debug)]
pub struct AttemptSpan(Mutex<Span>);

impl AttemptSpan {
    /// `tried` is where the request has been, this attempt included. None where nobody records the request.
    #[inline]
    pub fn begin(
        request: &Request,
        upstream: &Upstream,
        endpoint: &Endpoint,
        tried: Option<&Tried>,
    ) -> Option<Box<Self>> {
        if request.context.trace.is_recorded() {
            recorded(request, upstream, endpoint, tried.map_or(1, Tried::count))
        } else {
            None
        }
    }

    /// Has whoever gets the request know of it.
    pub fn hand_on(&self, headers: &mut Headers) {
        trace_heads::hand_on(headers, &self.span());
    }

    /// What came of it: the head of an answer, and what is behind it.
    #[cold]
    pub fn came_to(&self, outcome: Outcome<'_>) {
        let mut span = self.span();
        match outcome {
            Outcome::Answered(response) => {
                let status = response.status.as_u16();
                span.number("http.response.status_code", status.into());
                if status >= 400 {
                    span.fails(response.status.as_str());
                }
                if let Some(status) = Status::in_head(&response.headers) {
                    ended_with(&mut span, status);
                }
            }
            Outcome::Status(status) => ended_with(&mut span, status),
            Outcome::Failed(error) => span.fails(error.reason().name),
            Outcome::TimedOut | Outcome::CallerTimedOut => span.fails("timeout"),
            Outcome::Cancelled => span.fails("cancelled"),
        }
    }

    fn span(&self) -> MutexGuard<'_, Span> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever is not OK is a failure to whoever called.
fn ended_with(span: &mut Span, status: Status) {
    span.number("rpc.grpc.status_code", status.code().into());
    if status != Status::OK {
        span.fails(status.name());
    }
}

#[cold]
fn recorded(
    request: &Request,
    upstream: &Upstream,
    endpoint: &Endpoint,
    nth: usize,
) -> Option<Box<AttemptSpan>> {
    let method = request.method.clone();
    let mut span = request
        .context
        .trace
        .span(Kind::Client, method.as_str().to_owned())?;
    span.text("http.request.method", method.as_str());
    let scheme = if upstream.is_secure() {
        "https"
    } else {
        "http"
    };
    let host = request.authority.as_ref();
    let host = host.map_or(&*endpoint.name, |authority| authority.as_str());
    // Without the query, which may hold secrets.
    let url = [scheme, "://", host, request.target.path()].concat();
    span.text("url.full", &url);
    match &endpoint.address {
        Address::Unix(_) => {
            span.text("server.address", &endpoint.name);
            span.text("network.transport", "unix");
        }
        Address::Tcp(_) | Address::Localhost(_) => {
            let (host, port) = host_and_port(&endpoint.name);
            span.text("server.address", host);
            port.into_iter()
                .for_each(|port| span.number("server.port", port));
            let (host, port) = host_and_port(&endpoint.shown);
            span.text("network.peer.address", host);
            port.into_iter()
                .for_each(|port| span.number("network.peer.port", port));
        }
    }
    if nth > 1 {
        span.number("http.request.resend_count", nth as u64 - 1);
    }
    span.text("outrigger.upstream", upstream.name());
    Some(Box::new(AttemptSpan(Mutex::new(span))))
}

/// The parts of `host:port`; an address of IPv6 is without its brackets.
fn host_and_port(name: &str) -> (&str, Option<u64>) {
    let colon = name.bytes().rposition(|byte| byte == b':');
    match colon.and_then(|at| name.split_at_checked(at)) {
        Some((host, port)) => {
            let bare = host.strip_prefix('[').and_then(|of| of.strip_suffix(']'));
            (bare.unwrap_or(host), port[1..].parse().ok())
        }
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for (name, host, port) in [
            ("pay:8080", "pay", Some(8080)),
            ("[::1]:80", "::1", Some(80)),
            ("10.0.0.1:443", "10.0.0.1", Some(443)),
            ("pay", "pay", None),
        ] {
            assert_eq!(host_and_port(name), (host, port));
        }
    }
}
