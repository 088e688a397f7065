//! What one request says about the upstream, and when: at the head of its answer, at the end, or never.

use std::borrow::Borrow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::Judge;
use super::breaker::Permit;
use super::failures::is_grpc_failure;
use crate::http::body::{Body, End, Guard};
use crate::http::error::Error;
use crate::http::grpc;
use crate::http::message::Response;
use crate::net::cut;

/// A call of gRPC, which has a status beside that of HTTP.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its deadline is the caller's, and shorter than the route's.
    pub hurried: bool,
    /// It is a page's, whose status may stand in the body, where nobody reads it.
    pub is_web: bool,
}

/// A request that was let through, and about which the breaker will be told one thing, whatever becomes of it.
pub struct Sample<J: Borrow<Judge>> {
    judge: J,
    permit: Permit,
    told: bool,
}

impl<J: Borrow<Judge>> Sample<J> {
    pub fn new(judge: J, permit: Permit) -> Self {
        Sample {
            judge,
            permit,
            told: false,
        }
    }

    pub fn error(&mut self, error: &Error) {
        let judge = self.judge.borrow();
        match judge.failures.reason(error.reason()) {
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
        judge: &Arc<Judge>,
    ) -> Box<Response> {
        let status = call.and_then(|_| grpc::status_in(&response.headers));
        let call = call.filter(|call| !call.is_web || status.is_some());
        let is_over = !response.body.is_stream()
            || response.body.is_end_stream()
            || response.upgrade.is_some();
        let failed = judge.failures.status(response.status);
        match (call, status) {
            _ if failed => self.tell(true),
            (Some(call), Some(status)) => self.grpc(call, status),
            // Without a status the caller's library takes it as UNKNOWN.
            (Some(_), None) if is_over => self.tell(true),
            (None, _) if is_over || self.permit.is_probe() => self.tell(false),
            _ => {
                let sample = Sample::new(judge.clone(), self.permit);
                self.told = true;
                let body = std::mem::replace(&mut response.body, Body::empty());
                response.body = match call {
                    Some(call) => Body::stream(Trailed { body, sample, call }),
                    None => body.with_guard(sample),
                };
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
        let judge = self.judge.borrow();
        match failed {
            true => judge.failed(self.permit),
            false => judge.succeeded(self.permit),
        }
    }

    fn abandon(&mut self) {
        if !std::mem::replace(&mut self.told, true) {
            self.judge.borrow().abandoned(self.permit);
        }
    }
}

impl<J: Borrow<Judge>> Drop for Sample<J> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        if cut::is_overdue() {
            self.tell(self.judge.borrow().failures.timeout);
        } else {
            self.abandon();
        }
    }
}

impl Guard for Sample<Arc<Judge>> {
    fn end(&mut self, end: End<'_>, _: u64) {
        match end {
            End::Complete => self.tell(false),
            End::Failed(error) => self.error(error),
            // Dropping this tells why.
            End::Dropped => {}
        }
    }
}

/// The body of a gRPC answer, whose trailers say how it went.
struct Trailed {
    body: Body,
    sample: Sample<Arc<Judge>>,
    call: Call,
}

impl http_body::Body for Trailed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => match frame.trailers_ref() {
                Some(trailers) => match grpc::status_behind(trailers) {
                    Some(status) => {
                        let call = self.call;
                        self.sample.grpc(call, status);
                    }
                    None => self.sample.tell(true),
                },
                // Nothing will come behind it, and so no status.
                None if self.body.is_end_stream() => self.sample.tell(true),
                // A first message is as much as can be asked of a stream that may last for hours.
                None if self.sample.permit.is_probe() => self.sample.tell(false),
                None => {}
            },
            Some(Err(error)) => self.sample.error(error),
            // Without a status the caller's library takes it as UNKNOWN.
            None => self.sample.tell(true),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
