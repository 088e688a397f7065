//! What is counted and logged of a request, once its answer has ended.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::known::Known;
use super::noted::{Ending, Noted};
use super::serving::{Route, Serving};
use super::told::{self, Logged, RefusedHead, Told};
use crate::http::body::{Body, End, Guard};
use crate::http::error::{CALLER_GONE, Error, Reason};
use crate::http::exchange::{Exchange, Why};
use crate::http::grpc::{self, Dialect, Status};
use crate::http::message::{Request, Response, ServedBy, Tunnelled};
use crate::http::peer::Peer;
use crate::net::timer;
use crate::policy::stack::{Answer, Outcome};
use crate::telemetry::request_metrics::{InFlight, RouteMetrics};
use crate::trace::Span;

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
    /// What is told of it if it fails or takes long.
    noted: Option<Box<Noted>>,
    ended: bool,
}

/// It moves three times with each request; a larger one would be copied by a call each time.
const _: () = assert!(size_of::<Finish>() <= 128);

/// A request with what is counted and known of it, in the box in which it rides in its answer's body at last: made once,
/// and not moved any more.
pub struct Riding {
    pub finish: Finish,
    pub known: Known,
    head: Option<Head>,
    /// Who else is told of the body's end, after this.
    inner: Option<Box<dyn Guard>>,
}

/// What is known when the head of its answer is there.
struct Head {
    served_by: Option<ServedBy>,
    at: Instant,
}

/// Bytes of a request's body.
enum Sent {
    Known(u64),
    Counted(Arc<AtomicU64>),
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
        self.note(known, error.served_by()).fails_by(error);
        if let Some(told) = &mut self.told {
            told.detail = Some(error.detail().into());
        }
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

    /// What is told of it if it fails or takes long. What was noted first stays.
    #[cold]
    fn note(&mut self, known: &Known, by: Option<&ServedBy>) -> &mut Noted {
        let new = || Box::new(Noted::new(known));
        let noted = self.noted.get_or_insert_with(new);
        noted.was_at(by);
        noted
    }

    /// Who answered, or was asked last.
    #[inline]
    fn was_at(&mut self, by: Option<&ServedBy>) {
        if let Some(told) = &mut self.told {
            told.was_at(by, self.noted.as_ref().map(|noted| &noted.steps));
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
                    let noted = self.0.note(self.3, by);
                    noted.failed = true;
                    noted.steps = self.2.take_steps().map(|steps| *steps).unwrap_or_default();
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
                if let Some(steps) = waiting.2.take_steps() {
                    waiting.0.note(waiting.3, None).steps = *steps;
                }
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        })
        .await
    }

    /// How long it took to the head of its answer.
    #[cold]
    fn until(&self, head: &Head) -> Duration {
        head.at.saturating_duration_since(self.received)
    }

    fn finish(&mut self, response_bytes: u64, head: Option<(&Head, &Known)>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = timer::now().duration_since(self.received);
        let seconds = took.as_secs_f64();
        if took >= self.metrics.slow_after()
            && let Some((head, known)) = head
            && self.until(head) >= self.metrics.slow_after()
        {
            self.note(known, head.served_by.as_ref()).slow = true;
        }
        let mut request_bytes = match &self.request_bytes {
            Sent::Known(bytes) => *bytes,
            Sent::Counted(bytes) => bytes.load(Ordering::Relaxed),
        };
        let mut response_bytes = response_bytes;
        if let Some(tunnelled) = &self.tunnelled {
            request_bytes += tunnelled.from_caller();
            response_bytes += tunnelled.to_caller();
        }
        let mut grpc_status = None;
        if self.dialect.is_grpc() {
            grpc_status = self.grpc_status();
        }
        let routed = self.in_flight.take().is_some();
        // Before it is counted: whoever sees the count may look for what it is about.
        if let Some(noted) = self.noted.take() {
            noted.tell(&Ending {
                metrics: &self.metrics,
                peer: &self.peer,
                routed,
                received: self.received,
                head: head.map(|(head, _)| self.until(head)),
                took,
                status: self.status.as_u16(),
                reason: self.reason,
                grpc_status,
                answered_by: self.upstream.as_ref(),
            });
        }
        self.metrics.finished(
            &self.peer.listener,
            self.status.as_u16(),
            self.reason,
            seconds,
            request_bytes,
            response_bytes,
        );
        if self.dialect.is_grpc() {
            self.metrics.grpc_ended(self.upstream.as_ref(), grpc_status);
        }
        let Some(told) = &mut self.told else {
            return;
        };
        told.tell(&told::Ended {
            peer: &self.peer,
            status: self.status,
            reason: self.reason,
            grpc_status,
            request_bytes,
            response_bytes,
            seconds,
        });
    }
}

impl Riding {
    #[inline(always)]
    pub fn new(finish: Finish, known: Known) -> Self {
        Riding {
            finish,
            known,
            head: None,
            inner: None,
        }
    }

    /// What the caller is told. It is counted when its body has ended.
    #[inline(always)]
    pub fn answered(mut self: Box<Self>, response: &mut Response) {
        self.finish.is_answered_with(response);
        let served_by = response.served_by.take();
        if self.finish.status.as_u16() >= 400 {
            let noted = self.finish.note(&self.known, served_by.as_ref());
            noted.failed = true;
        }
        self.head = Some(Head {
            served_by,
            at: timer::now(),
        });
        response.body.guard_by(|inner| {
            self.inner = inner;
            self
        });
    }
}

impl Guard for Riding {
    fn end(&mut self, end: End<'_>, passed: u64) {
        let (finish, known) = (&mut self.finish, &self.known);
        let served_by = self.head.as_ref().and_then(|head| head.served_by.as_ref());
        match end {
            End::Complete => {
                let status = finish.dialect.is_grpc().then(|| finish.grpc_status());
                if status.flatten().is_some_and(|status| status != Status::OK) {
                    finish.note(known, served_by).failed = true;
                }
            }
            End::Failed(error) => {
                finish.note(known, served_by);
                finish.failed(error, known);
                finish.grpc_status = Some(Status::of_cut(error));
            }
            // Whoever leaves within an answer was served as far as it wanted.
            End::Dropped => finish.reason = finish.reason.or(Some(CALLER_GONE)),
        }
        finish.finish(passed, self.head.as_ref().map(|head| (head, known)));
        if let Some(inner) = &mut self.inner {
            inner.end(end, passed);
        }
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        if self.finish.dialect.is_grpc()
            && let Some(status) = grpc_status
        {
            self.finish.grpc_status = Some(Status::as_callers_read(status));
        }
        if let Some(inner) = &mut self.inner {
            inner.trailers(grpc_status);
        }
    }

    fn begun(&mut self) {
        if let Some(inner) = &mut self.inner {
            inner.begun();
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        self.finish(0, None);
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
