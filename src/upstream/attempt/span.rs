//! The span of an attempt, by OpenTelemetry's semantic conventions for HTTP clients. It lasts to the end of the answer.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::meaning::Outcome;
use crate::http::grpc::Status;
use crate::http::headers::Headers;
use crate::http::message::{Request, Tried};
use crate::http::semantics::authority::host_and_port;
use crate::http::trace_heads;
use crate::trace::{Attributes, Describe, Kind, Span, key};
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
                span.number(key!("http.response.status_code"), status.into());
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
    span.number(key!("rpc.grpc.status_code"), status.code().into());
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
    let method = request.method.as_str();
    let mut span = request.context.trace.span(Kind::Client, "")?;
    span.rename([method]);
    span.text(key!("http.request.method"), method);
    let scheme = if upstream.is_secure() {
        "https"
    } else {
        "http"
    };
    let host = request.authority.as_ref();
    let host = host.map_or(&*endpoint.name, |authority| authority.as_str());
    // Without the query, which may hold secrets.
    span.joined(
        key!("url.full"),
        [scheme, "://", host, request.target.path()],
    );
    let described = endpoint.described.get_or_init(|| {
        let mut attributes = Attributes::default();
        describe(endpoint, &mut attributes);
        Box::new(attributes)
    });
    if !span.add(described) {
        describe(endpoint, &mut span);
    }
    if nth > 1 {
        span.number(key!("http.request.resend_count"), nth as u64 - 1);
    }
    span.text(key!("outrigger.upstream"), upstream.name());
    Some(Box::new(AttemptSpan(Mutex::new(span))))
}

/// Where an endpoint is.
fn describe(endpoint: &Endpoint, span: &mut impl Describe) {
    match &endpoint.address {
        Address::Unix(_) => {
            span.text(key!("server.address"), &endpoint.name);
            span.text(key!("network.transport"), "unix");
        }
        Address::Tcp(_) | Address::Localhost(_) => {
            let (host, port) = host_and_port(&endpoint.name);
            span.text(key!("server.address"), host);
            if let Some(port) = port {
                span.number(key!("server.port"), port);
            }
            let (host, port) = host_and_port(&endpoint.shown);
            span.text(key!("network.peer.address"), host);
            if let Some(port) = port {
                span.number(key!("network.peer.port"), port);
            }
        }
    }
}
