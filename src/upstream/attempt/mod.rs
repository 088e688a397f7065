//! One attempt to get an answer from an endpoint: who was picked and when, how far it came, and how it ended.
//!
//! Its record begins with the pick. [`Waiting`] looks after it until the head of the answer; from there it is the guard
//! of the answer's body, to the end of that. What comes of it is an [`Outcome`] each time, whose meaning all are told who
//! keep account of endpoints.

use std::sync::Arc;

use http::Method;
use tokio::time::Instant;

use crate::http::body::{self, Guard};
use crate::http::grpc::Status;
use crate::http::headers::Headers;
use crate::http::message::Request;
use crate::http::trail::Times;
use crate::net::timer;
use crate::upstream::{Endpoint, LoadGuard};
use meaning::Outcome;

mod accounts;
mod meaning;
mod span;
mod stage;
mod waiting;

pub use span::AttemptSpan;
pub use stage::Stage;
pub use waiting::Waiting;

/// The record of one attempt.
#[derive(Debug)]
pub struct Attempt {
    /// Whose it is, and since when.
    load: LoadGuard,
    /// How far it is.
    stage: Stage,
    /// It may be a call of gRPC, whose status may come last.
    grpc: bool,
    /// What is recorded of it.
    span: Option<Box<AttemptSpan>>,
}

impl Attempt {
    /// The endpoint of `load` has just been picked for `request`.
    #[inline]
    pub fn new(load: LoadGuard, request: &Request, span: Option<Box<AttemptSpan>>) -> Self {
        Attempt {
            load,
            stage: Stage::default(),
            // Calls of gRPC are all POST; the answers to others need no look.
            grpc: request.method == Method::POST,
            span,
        }
    }

    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.load.endpoint()
    }

    /// When its endpoint was picked.
    pub fn started(&self) -> Instant {
        self.load.started()
    }

    /// Has the endpoint know of this attempt, if it is recorded.
    #[inline]
    pub fn hand_on(&self, headers: &mut Headers) {
        if let Some(span) = &self.span {
            span.hand_on(headers);
        }
    }

    /// When what happened. `sent`: a connection had the request.
    pub fn times(&self, sent: bool) -> Times {
        self.stage.times(self.started(), sent)
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A connection that was there at once takes the request.
    pub fn asks_at_once(&self) {
        self.stage.asks_at_once();
    }

    /// A connection takes the request now.
    pub fn asks(&self) {
        let waited = timer::now().saturating_duration_since(self.started());
        self.stage.asks(waited);
    }

    /// When a connection took the request.
    fn asked(&self) -> Instant {
        self.started() + self.stage.asked()
    }
}

impl Guard for Attempt {
    fn trailers(&mut self, grpc_status: Option<&[u8]>) {
        if self.grpc
            && self.stage.is_answered()
            && let Some(status) = grpc_status.and_then(Status::read)
        {
            self.behind_head(Outcome::Status(status));
        }
    }

    fn end(&mut self, end: body::End<'_>, _: u64) {
        match end {
            body::End::Complete => self.completes(),
            body::End::Failed(error) => self.behind_head(Outcome::Failed(error)),
            body::End::Dropped => self.behind_head(Outcome::Cancelled),
        }
        self.span = None;
    }
}

#[cfg(test)]
mod tests;
