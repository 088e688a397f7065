//! What is remembered of a request that fails or takes long.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::known::Known;
use crate::http::error::{Error, Reason};
use crate::http::grpc::Status;
use crate::http::message::ServedBy;
use crate::http::peer::Peer;
use crate::http::trail::Steps;
use crate::telemetry::failures::Failure;
use crate::telemetry::request_metrics::RouteMetrics;
use crate::telemetry::requests::Kept;

/// What is known of it before it ends.
pub struct Noted {
    known: Known,
    served_by: Option<ServedBy>,
    pub steps: Steps,
    pub failed: bool,
    pub slow: bool,
    detail: Option<Box<str>>,
    cause: Option<Box<str>>,
}

/// How it ended.
pub struct Ending<'a> {
    pub metrics: &'a RouteMetrics,
    pub peer: &'a Peer,
    pub routed: bool,
    pub received: Instant,
    /// Until the head of the answer; None when there was none.
    pub head: Option<Duration>,
    pub took: Duration,
    pub status: u16,
    pub reason: Option<Reason>,
    pub grpc_status: Option<Status>,
    /// Who answered a call of gRPC.
    pub answered_by: Option<&'a Arc<str>>,
}

impl Noted {
    pub fn new(known: &Known) -> Self {
        Noted {
            known: known.clone(),
            served_by: None,
            steps: Steps::default(),
            failed: false,
            slow: false,
            detail: None,
            cause: None,
        }
    }

    /// It fails, and the first error says why.
    pub fn fails_by(&mut self, error: &Error) {
        self.failed = true;
        if self.detail.is_none() {
            self.detail = Some(error.detail().into());
            self.cause = error.cause().map(|cause| cause.to_string().into());
        }
    }

    /// Who answered, or was asked last. What is known already stays.
    pub fn was_at(&mut self, by: Option<&ServedBy>) {
        if let Some(by) = by {
            self.served_by.get_or_insert_with(|| by.clone());
        }
    }

    /// Has it found by whoever asks, and counts it if it has failed.
    #[cold]
    pub fn tell(self, ending: &Ending<'_>) {
        if !self.failed && !self.slow {
            return;
        }
        let failure = (self.failed && ending.routed).then(|| self.failure(ending));
        ending.metrics.requests().keep(self.kept(ending));
        if let Some(failure) = failure {
            ending.metrics.failures().note(failure);
            ending.metrics.failed();
        }
    }

    fn failure(&self, ending: &Ending<'_>) -> Failure {
        let (upstream, endpoint, attempts) = match &self.served_by {
            Some(by) => (Some(by.upstream.clone()), by.endpoint.clone(), by.attempts),
            None => (ending.answered_by.cloned(), None, 0),
        };
        Failure {
            at: SystemTime::now(),
            request_id: self.known.request_id.clone(),
            trace_id: self.known.trace,
            status: ending.status,
            reason: ending.reason.map(|reason| reason.name),
            grpc_status: ending.grpc_status.map(Status::name),
            upstream,
            endpoint,
            attempts,
            seconds: ending.took.as_secs_f64(),
        }
    }

    fn kept(self, ending: &Ending<'_>) -> Kept {
        let by = self.served_by;
        let upstream = by.as_ref().map(|by| by.upstream.clone());
        Kept {
            ended: SystemTime::now(),
            received: ending.received,
            request_id: self.known.request_id,
            trace_id: self.known.trace,
            listener: ending.peer.listener.clone(),
            route: ending.metrics.route().clone(),
            source: ending.peer.source.as_deref().cloned(),
            method: self.known.method,
            path: self.known.path.map(|path| path.as_str().into()),
            status: ending.status,
            reason: ending.reason.map(|reason| reason.name),
            detail: self.detail,
            cause: self.cause,
            grpc_status: ending.grpc_status.map(Status::name),
            upstream: upstream.or_else(|| ending.answered_by.cloned()),
            endpoint: by.and_then(|by| by.endpoint),
            failed: self.failed,
            slow: self.slow,
            head: ending.head,
            took: ending.took,
            steps: self.steps,
        }
        .shortened()
    }
}
