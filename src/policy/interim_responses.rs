//! `interim_responses`: whether 1xx answers of the upstream go to callers.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::stack::Glance;
use crate::error::Error;
use crate::headers::Headers;
use crate::message::{Interim, Request};
use crate::policy::stack::Outcome;

/// `interim_responses`
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// As HTTP has it (RFC 9110, section 15.2).
    Pass,
    /// Only `100 Continue` and `101 Switching Protocols`: some callers take a 103 for the answer.
    Drop,
}

/// Keeps interim answers from the caller.
pub(super) struct DropInterim;

impl DropInterim {
    pub(super) fn new(config: Option<Config>) -> Option<Self> {
        (config == Some(Config::Drop)).then_some(DropInterim)
    }
}

impl Glance for DropInterim {
    type Seen<'a> = ();

    fn enter(&self, request: &mut Request) -> Result<(), Error> {
        let caller = request.context.interim.take();
        request.context.interim = caller.map(|caller| Arc::new(Quiet(caller)) as Arc<dyn Interim>);
        Ok(())
    }

    fn leave(&self, (): (), outcome: Outcome) -> Outcome {
        outcome
    }
}

/// A caller that is told nothing before its answer.
struct Quiet(Arc<dyn Interim>);

impl Interim for Quiet {
    fn send(&self, _: StatusCode, _: &Headers) {}

    fn poll_body_begun(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_body_begun(cx)
    }
}
