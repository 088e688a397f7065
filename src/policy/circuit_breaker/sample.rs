//! What one request says about the upstream, and when: at the head of its answer, at the end, or never.

use std::borrow::Borrow;
use std::sync::Arc;

use http_body::Body as _;

use super::breaker::Permit;
use super::failures::is_grpc_failure;
use super::route_breaker::RouteBreaker;
use crate::http::body::{Body, End, Guard};
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::grpc;
use crate::http::message::Response;

/// A call of gRPC, which has a status beside that of HTTP.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its deadline is the caller's, and shorter than the route's.
    pub hurried: bool,
    /// It is a page's, whose status may stand in the body, where nobody reads it.
    pub is_web: bool,
}

/// A request that was let through, and about which the breaker will be told one thing, whatever becomes of it.
pub struct Sample<B: Borrow<RouteBreaker>> {
    breaker: B,
    permit: Permit,
    told: bool,
}

impl<B: Borrow<RouteBreaker>> Sample<B> {
    pub fn new(breaker: B, permit: Permit) -> Self {
        Sample {
            breaker,
            permit,
            told: false,
        }
    }

    pub fn error(&mut self, error: &Error) {
        let breaker = self.breaker.borrow();
        match breaker.failures.reason(error.reason()) {
            Some(failed) => self.tell(failed),
            None => self.abandon(),
        }
    }

    /// Judges an answer by its head, as far as that is possible, and by its body for the rest.
    ///
    /// A request on which the state of a half-open breaker depends is judged as early as possible: a stream may
    /// last for hours.
    pub fn head(
        &mut self,
        mut response: Box<Response>,
        call: Option<Call>,
        breaker: &Arc<RouteBreaker>,
    ) -> Box<Response> {
        let status = call.and_then(|_| grpc::status_in(&response.headers));
        let call = call.filter(|call| !call.is_web || status.is_some());
        let is_over = !response.body.is_stream()
            || response.body.is_end_stream()
            || response.upgrade.is_some();
        let failed = breaker.failures.status(response.status);
        match (call, status) {
            _ if failed => self.tell(true),
            (Some(call), Some(status)) => self.grpc(call, status),
            // Without a status the caller's library takes it as UNKNOWN.
            (Some(_), None) if is_over => self.tell(true),
            (None, _) if is_over || self.permit.is_probe() => self.tell(false),
            _ => {
                let sample = Sample::new(breaker.clone(), self.permit);
                self.told = true;
                let body = std::mem::replace(&mut response.body, Body::empty());
                response.body = body.with_guard(SampleGuard { sample, call });
            }
        }
        response
    }

    fn grpc(&mut self, call: Call, status: &[u8]) {
        match is_grpc_failure(status, call.hurried) {
            Some(failed) => self.tell(failed),
            None => self.abandon(),
        }
    }

    fn tell(&mut self, failed: bool) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let breaker = self.breaker.borrow();
        if failed {
            breaker.failed(self.permit)
        } else {
            breaker.succeeded(self.permit)
        }
    }

    fn abandon(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.breaker.borrow().abandoned(self.permit);
        }
    }
}

impl<B: Borrow<RouteBreaker>> Drop for Sample<B> {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// A request whose answer has not begun. Dropped, it was cut short.
pub struct Waiting<'a> {
    pub sample: Sample<&'a RouteBreaker>,
    /// When it is to be judged as a call of gRPC.
    pub call: Option<Call>,
    pub exchange: &'a Exchange<'a>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.sample.told && self.exchange.is_overdue() {
            self.sample.tell(self.sample.breaker.failures.timeout);
        }
    }
}

/// Judges an answer by its body.
struct SampleGuard {
    sample: Sample<Arc<RouteBreaker>>,
    /// A call of gRPC, whose trailers say how it went.
    call: Option<Call>,
}

impl Guard for SampleGuard {
    fn end(&mut self, end: End<'_>, _: u64) {
        match end {
            // Without a status a library of gRPC takes it as UNKNOWN.
            End::Complete => self.sample.tell(self.call.is_some()),
            End::Failed(error) => self.sample.error(error),
            End::Dropped => self.sample.abandon(),
        }
    }

    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        if let Some(call) = self.call {
            match grpc_status {
                Some(status) => self.sample.grpc(call, status),
                None => self.sample.tell(true),
            }
        }
    }

    /// A first message is as much as can be asked of a stream that may last for hours.
    fn begun(&mut self) {
        if self.sample.permit.is_probe() {
            self.sample.tell(false);
        }
    }
}
