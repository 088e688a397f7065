//! What is counted and logged of a request, once its answer has ended.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::SystemTime;

use http::StatusCode;
use tokio::time::Instant;

use super::known::Known;
use super::serving::{Route, Serving};
use super::spans::{self, Ended};
use crate::http::body::{Body, End, Guard};
use crate::http::error::{CALLER_GONE, Error, Reason};
use crate::http::exchange::{Exchange, Why};
use crate::http::grpc::{self, Dialect, Status};
use crate::http::message::{Outline, Request, RequestId, Response, ServedBy, Tunnelled};
use crate::http::peer::{Identity, Peer};
use crate::http::trace_heads;
use crate::net::timer;
use crate::policy::stack::{Answer, Outcome};
use crate::telemetry::access_log::{AccessLog, Captured, Record};
use crate::telemetry::failures::Failure;
use crate::telemetry::request_metrics::{InFlight, NO_ROUTE, RouteMetrics};
use crate::trace::{Span, TraceId};

/// Counts a request, however it ends: it rides in the answer's body, and before that in the request's future.
pub struct Finish {
    metrics: Arc<RouteMetrics>,
    in_flight: Option<InFlight>,
    peer: Arc<Peer>,
    received: Instant,
    request_bytes: Sent,
    status: StatusCode,
    reason: Option<Reason>,
    told: Option<Box<Told>>,
    dialect: Dialect,
    /// Of a call of gRPC.
    grpc_status: Option<Status>,
    /// Who answered a call of gRPC.
    upstream: Option<Arc<str>>,
    /// What passes once the connection has changed its protocol.
    tunnelled: Option<Arc<Tunnelled>>,
    noted: Option<Box<Noted>>,
    ended: bool,
}

/// It moves three times with each request; a larger one would be copied by a call each time.
const _: () = assert!(size_of::<Finish>() <= 128);

/// What is to be told of a request that fails, beside what is counted of every one.
struct Noted {
    known: Known,
    served_by: Option<ServedBy>,
}

/// What rides in an answer's body to its end.
struct Riding {
    finish: Finish,
    known: Known,
}

/// What is known of a request whose head was refused.
pub struct RefusedHead {
    pub outline: Outline,
    pub peer: Arc<Peer>,
    pub client: Option<std::net::IpAddr>,
    pub request_id: RequestId,
}

/// Bytes of a request's body.
enum Sent {
    Known(u64),
    Counted(Arc<AtomicU64>),
}

/// What the access log or a span needs and would be gone by then.
struct Told {
    log: Option<Arc<AccessLog>>,
    span: Option<Box<Span>>,
    request: Logged,
    route: Option<Arc<str>>,
    /// The path of the route's match.
    path: Option<Arc<str>>,
    served_by: Option<ServedBy>,
    detail: Option<Box<str>>,
}

struct Logged {
    method: Option<http::Method>,
    target: Option<http::uri::PathAndQuery>,
    host: Option<http::uri::Authority>,
    client: Option<std::net::IpAddr>,
    version: Option<http::Version>,
    request_id: RequestId,
    trace: Option<TraceId>,
    headers: Captured,
}

impl Finish {
    pub fn new(
        request: &mut Request,
        dialect: Dialect,
        unrouted: &Arc<RouteMetrics>,
        serving: &Serving,
        span: Option<Box<Span>>,
    ) -> Self {
        let log = serving.access_log.as_ref();
        let told = (log.is_some() || span.is_some())
            .then(|| Box::new(Told::new(log.cloned(), span, Logged::of(request, log))));
        let peer = request.context.peer.clone();
        let request_bytes = count(request);
        let received = request.context.received;
        Finish::begin(peer, received, request_bytes, dialect, unrouted, told)
    }

    pub fn of_head(head: RefusedHead, unrouted: &Arc<RouteMetrics>, serving: &Serving) -> Self {
        let (peer, dialect) = (head.peer.clone(), head.outline.dialect());
        let log = serving.access_log.as_ref();
        let told = log.map(|log| {
            Box::new(Told::new(
                Some(log.clone()),
                None,
                Logged::of_head(head, log),
            ))
        });
        Finish::begin(peer, timer::now(), Sent::Known(0), dialect, unrouted, told)
    }

    #[inline]
    fn begin(
        peer: Arc<Peer>,
        received: Instant,
        request_bytes: Sent,
        dialect: Dialect,
        unrouted: &Arc<RouteMetrics>,
        told: Option<Box<Told>>,
    ) -> Self {
        Finish {
            metrics: unrouted.clone(),
            in_flight: None,
            peer,
            received,
            request_bytes,
            // Until there is an answer, its end is that of a caller who did not wait.
            status: StatusCode::from_u16(CALLER_GONE.status).unwrap_or_default(),
            reason: Some(CALLER_GONE),
            told,
            dialect,
            grpc_status: None,
            upstream: None,
            tunnelled: None,
            noted: None,
            ended: false,
        }
    }

    pub fn routed(&mut self, route: &Route) {
        self.metrics = route.metrics.clone();
        self.in_flight = Some(self.metrics.started());
        if let Some(told) = &mut self.told {
            told.route = Some(route.name.clone());
            told.path.clone_from(&route.path);
        }
    }

    /// Why it was refused or failed, in the words that the caller is told, or would be.
    pub fn failed(&mut self, error: &Error, known: &Known) {
        self.reason = Some(error.reason());
        self.note(known, error.served_by());
        if let Some(told) = &mut self.told {
            told.detail = Some(error.detail().into());
        }
    }

    /// What the caller is told. It is counted when its body has ended.
    #[inline]
    pub fn answered(mut self, response: &mut Response, known: Known) {
        self.is_answered_with(response);
        if self.status.as_u16() >= 400 {
            self.note(&known, response.served_by.as_ref());
        }
        let body = std::mem::replace(&mut response.body, Body::empty());
        let finish = self;
        response.body = body.with_guard(Riding { finish, known });
    }

    #[inline]
    fn is_answered_with(&mut self, response: &Response) {
        self.status = response.status;
        self.reason = response.refused;
        self.was_at(response.served_by.as_ref());
        if let Some(upgraded) = &response.upgrade {
            self.tunnelled = Some(upgraded.passed.clone());
        }
        if self.dialect.is_grpc() {
            self.grpc_status = grpc::status_in(&response.headers).map(Status::as_callers_read);
            let by = response.served_by.as_ref();
            let by = by.filter(|_| response.refused.is_none());
            self.upstream = by.map(|by| by.upstream.clone());
        }
    }

    /// What is told of it if it fails. What was noted first stays.
    #[cold]
    fn note(&mut self, known: &Known, by: Option<&ServedBy>) {
        self.noted.get_or_insert_with(|| {
            Box::new(Noted {
                known: known.clone(),
                served_by: by.cloned(),
            })
        });
    }

    /// Who answered, or was asked last.
    fn was_at(&mut self, by: Option<&ServedBy>) {
        if let Some(told) = &mut self.told {
            told.served_by = by.cloned();
        }
    }

    /// With which status a call of gRPC has ended; `None` when it stands in the body, where that of browsers has it.
    fn grpc_status(&self) -> Option<Status> {
        self.grpc_status.or(match (self.reason, self.dialect) {
            (Some(reason), _) => Some(Status::of_reason(reason)),
            (None, Dialect::Grpc) => Some(Status::of_http(self.status)),
            (None, _) => (self.status != StatusCode::OK).then(|| Status::of_http(self.status)),
        })
    }

    /// Waits for an answer. When the caller leaves before that, the log says where its request had got to.
    pub async fn watch(
        &mut self,
        answer: Answer<'_>,
        exchange: &Exchange<'_>,
        known: &Known,
    ) -> Outcome {
        struct Waiting<'f, 'a>(
            &'f mut Finish,
            Option<Answer<'a>>,
            &'f Exchange<'f>,
            &'f Known,
        );
        impl Drop for Waiting<'_, '_> {
            fn drop(&mut self) {
                if let Some(answer) = self.1.take() {
                    let place = self.2.cut(answer, Why::Unwanted);
                    let by = place.as_ref().map(|place| &place.by);
                    self.0.note(self.3, by);
                    if by.is_some() {
                        self.0.was_at(by);
                    }
                }
            }
        }
        let mut waiting = Waiting(self, Some(answer), exchange, known);
        poll_fn(|cx| match &mut waiting.1 {
            Some(answer) => {
                let outcome = ready!(answer.as_mut().poll(cx));
                waiting.1 = None;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        })
        .await
    }

    fn finish(&mut self, response_bytes: u64) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let seconds = timer::now().duration_since(self.received).as_secs_f64();
        let mut request_bytes = match &self.request_bytes {
            Sent::Known(bytes) => *bytes,
            Sent::Counted(bytes) => bytes.load(Ordering::Relaxed),
        };
        let mut response_bytes = response_bytes;
        if let Some(tunnelled) = &self.tunnelled {
            request_bytes += tunnelled.from_caller();
            response_bytes += tunnelled.to_caller();
        }
        let status = self.status.as_u16();
        let routed = self.in_flight.take().is_some();
        self.metrics.finished(
            &self.peer.listener,
            status,
            self.reason,
            seconds,
            request_bytes,
            response_bytes,
        );
        let mut grpc_status = None;
        if self.dialect.is_grpc() {
            grpc_status = self.grpc_status();
            self.metrics.grpc_ended(self.upstream.as_ref(), grpc_status);
        }
        if let Some(noted) = self.noted.take().filter(|_| routed) {
            self.fails(*noted, grpc_status, seconds);
        }
        let Some(told) = &mut self.told else {
            return;
        };
        let (request, served_by) = (&told.request, told.served_by.as_ref());
        if let Some(log) = &told.log {
            log.write(&Record {
                method: request.method.as_ref().map(http::Method::as_str),
                path: request.target.as_ref().map(|target| target.path()),
                query: request.target.as_ref().and_then(|target| target.query()),
                host: request.host.as_ref().map(|host| host.host()),
                client: request.client,
                identity: self.peer.identity().map(Identity::name),
                version: request.version,
                status,
                grpc_status: grpc_status.map(Status::code),
                request_bytes,
                response_bytes,
                seconds,
                listener: &self.peer.listener,
                route: Some(told.route.as_deref().unwrap_or(NO_ROUTE)),
                upstream: served_by.map(|by| &*by.upstream),
                endpoint: served_by.and_then(|by| by.endpoint.as_deref()),
                attempts: served_by.map(|by| by.attempts),
                reason: self.reason.map(|reason| reason.name),
                detail: told.detail.as_deref(),
                request_id: request.request_id.as_str(),
                trace: request.trace,
                headers: &request.headers,
            });
        }
        // It ends when this drops, as those of attempts have by then.
        if let Some(span) = &mut told.span {
            spans::describe(
                span,
                &Ended {
                    method: request.method.as_ref(),
                    source: self.peer.source.as_deref(),
                    route: told.route.as_deref(),
                    path: told.path.as_deref(),
                    status: self.status,
                    reason: self.reason,
                    grpc_status,
                    served_by,
                },
            );
        }
    }
}

impl Guard for Riding {
    fn end(&mut self, end: End<'_>, passed: u64) {
        let Riding { finish, known } = self;
        match end {
            End::Complete => {
                let status = finish.dialect.is_grpc().then(|| finish.grpc_status());
                if status.flatten().is_some_and(|status| status != Status::OK) {
                    finish.note(known, None);
                }
            }
            End::Failed(error) => {
                finish.failed(error, known);
                finish.grpc_status = Some(Status::of_cut(error));
            }
            // Whoever leaves within an answer was served as far as it wanted.
            End::Dropped => finish.reason = finish.reason.or(Some(CALLER_GONE)),
        }
        finish.finish(passed);
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        if self.finish.dialect.is_grpc()
            && let Some(status) = grpc_status
        {
            self.finish.grpc_status = Some(Status::as_callers_read(status));
        }
    }
}

impl Finish {
    /// Counts it as failed, and remembers what is known of it.
    #[cold]
    fn fails(&self, noted: Noted, grpc_status: Option<Status>, seconds: f64) {
        let (upstream, endpoint, attempts) = match noted.served_by {
            Some(by) => (Some(by.upstream), by.endpoint, by.attempts),
            None => (self.upstream.clone(), None, 0),
        };
        self.metrics.failed();
        self.metrics.failures().note(Failure {
            at: SystemTime::now(),
            request_id: noted.known.request_id,
            trace_id: noted.known.trace,
            status: self.status.as_u16(),
            reason: self.reason.map(|reason| reason.name),
            grpc_status: grpc_status.map(Status::name),
            upstream,
            endpoint,
            attempts,
            seconds,
        });
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.finish(0);
    }
}

/// Has the bytes of a request's body counted as they pass.
fn count(request: &mut Request) -> Sent {
    if let Some(whole) = http_body::Body::size_hint(&request.body)
        .exact()
        .filter(|n| *n == 0)
    {
        return Sent::Known(whole);
    }
    let passed = Arc::new(AtomicU64::new(0));
    let body = std::mem::replace(&mut request.body, Body::empty());
    request.body = body.with_guard(Passed(passed.clone()));
    Sent::Counted(passed)
}

struct Passed(Arc<AtomicU64>);

impl Guard for Passed {
    fn end(&mut self, _: End<'_>, passed: u64) {
        self.0.store(passed, Ordering::Relaxed);
    }
}

impl Told {
    fn new(log: Option<Arc<AccessLog>>, span: Option<Box<Span>>, request: Logged) -> Self {
        Told {
            log,
            span,
            request,
            route: None,
            path: None,
            served_by: None,
            detail: None,
        }
    }
}

impl Logged {
    fn of(request: &Request, log: Option<&Arc<AccessLog>>) -> Self {
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

    fn of_head(head: RefusedHead, log: &AccessLog) -> Self {
        Logged {
            headers: log.capture(&head.outline.headers),
            method: head.outline.method,
            target: head.outline.target,
            host: head.outline.authority,
            client: head.client,
            version: head.outline.version,
            request_id: head.request_id,
            trace: None,
        }
    }
}
