//! What the access log and the span of a request tell once it has ended.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::spans;
use crate::http::error::Reason;
use crate::http::grpc::Status;
use crate::http::message::{Outline, Request, RequestId, ServedBy};
use crate::http::peer::{Identity, Peer};
use crate::http::trace_heads;
use crate::http::trail::Steps;
use crate::telemetry::access_log::{AccessLog, Captured, Record};
use crate::telemetry::request_metrics::NO_ROUTE;
use crate::trace::{Span, TraceId};

/// What the access log or a span needs and would be gone by then.
pub struct Told {
    log: Option<Arc<AccessLog>>,
    span: Option<Box<Span>>,
    request: Logged,
    pub route: Option<Arc<str>>,
    /// The path of the route's match.
    pub path: Option<Arc<str>>,
    served_by: Option<ServedBy>,
    /// How long it was with endpoints, up to the head of an answer each.
    upstream_took: Option<Duration>,
    pub detail: Option<Box<str>>,
}

/// Of the request.
pub struct Logged {
    method: Option<http::Method>,
    target: Option<http::uri::PathAndQuery>,
    host: Option<http::uri::Authority>,
    client: Option<std::net::IpAddr>,
    version: Option<http::Version>,
    request_id: RequestId,
    trace: Option<TraceId>,
    headers: Captured,
}

/// What is known of a request whose head was refused.
pub struct RefusedHead {
    pub outline: Outline,
    pub peer: Arc<Peer>,
    pub client: Option<std::net::IpAddr>,
    pub request_id: RequestId,
    pub trace: Option<TraceId>,
}

/// How a request ended.
pub struct Ended<'a> {
    pub peer: &'a Peer,
    pub status: StatusCode,
    pub reason: Option<Reason>,
    pub grpc_status: Option<Status>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub seconds: f64,
}

impl Told {
    pub fn new(log: Option<Arc<AccessLog>>, span: Option<Box<Span>>, request: Logged) -> Self {
        Told {
            log,
            span,
            request,
            route: None,
            path: None,
            served_by: None,
            upstream_took: None,
            detail: None,
        }
    }

    /// Who answered, or was asked last, and what had happened before.
    pub fn was_at(&mut self, by: Option<&ServedBy>, steps: Option<&Steps>) {
        let steps = steps.map(|steps| &steps.attempts[..]).unwrap_or_default();
        let last = by.map_or(0, |by| by.took);
        // It is among them where it failed or took long.
        let more = steps.iter().all(|one| one.times.ended != last);
        let others = steps.iter().map(|one| u64::from(one.times.ended));
        let took = others.sum::<u64>() + if more { u64::from(last) } else { 0 };
        self.upstream_took = by.and(Some(Duration::from_micros(took)));
        self.served_by = by.cloned();
    }

    /// Writes the line, and ends the span.
    pub fn tell(&mut self, ended: &Ended<'_>) {
        let (request, served_by) = (&self.request, self.served_by.as_ref());
        if let Some(log) = &self.log {
            log.write(&Record {
                method: request.method.as_ref().map(http::Method::as_str),
                path: request.target.as_ref().map(|target| target.path()),
                query: request.target.as_ref().and_then(|target| target.query()),
                host: request.host.as_ref().map(|host| host.host()),
                client: request.client,
                identity: ended.peer.identity().map(Identity::name),
                version: request.version,
                status: ended.status.as_u16(),
                grpc_status: ended.grpc_status.map(Status::code),
                request_bytes: ended.request_bytes,
                response_bytes: ended.response_bytes,
                seconds: ended.seconds,
                listener: &ended.peer.listener,
                route: Some(self.route.as_deref().unwrap_or(NO_ROUTE)),
                upstream: served_by.map(|by| &*by.upstream),
                endpoint: served_by.and_then(|by| by.endpoint.as_deref()),
                attempts: served_by.map(|by| by.attempts),
                upstream_seconds: self.upstream_took.map(|took| took.as_secs_f64()),
                reason: ended.reason.map(|reason| reason.name),
                detail: self.detail.as_deref(),
                request_id: request.request_id.as_str(),
                trace: request.trace,
                headers: &request.headers,
            });
        }
        // It ends when this drops, as those of attempts have by then.
        if let Some(span) = &mut self.span {
            spans::describe(
                span,
                &spans::Ended {
                    method: request.method.as_ref(),
                    source: ended.peer.source.as_deref(),
                    route: self.route.as_deref(),
                    path: self.path.as_deref(),
                    status: ended.status,
                    reason: ended.reason,
                    grpc_status: ended.grpc_status,
                    served_by,
                },
            );
        }
    }
}

impl Logged {
    pub fn of(request: &Request, log: Option<&Arc<AccessLog>>) -> Self {
        let headers = &request.headers;
        // Where no trace is looked at, its caller's head is passed on all the same.
        let trace = request.context.trace.id();
        let trace = trace.or_else(|| Some(trace_heads::read(headers)?.trace));
        Logged {
            method: Some(request.method.clone()),
            target: Some(request.target.clone()),
            host: request.authority.clone(),
            client: request.context.client,
            version: Some(request.version),
            request_id: request.context.request_id.clone(),
            trace,
            headers: log.map(|log| log.capture(headers)).unwrap_or_default(),
        }
    }

    pub fn of_head(head: RefusedHead, log: &AccessLog) -> Self {
        Logged {
            headers: log.capture(&head.outline.headers),
            method: head.outline.method,
            target: head.outline.target,
            host: head.outline.authority,
            client: head.client,
            version: head.outline.version,
            request_id: head.request_id,
            trace: head.trace,
        }
    }
}
