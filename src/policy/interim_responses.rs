//! `interim_responses`: whether 1xx answers of the upstream go to callers.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::build::Build;
use super::stack::Filter;
use super::table::{Block, Blocks, FromBlocks};
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::headers::Headers;
use crate::http::message::{Interim, Request};

/// `interim_responses`: whether 1xx answers of the upstream go to callers. Default: they do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Config {
    /// As HTTP has it (RFC 9110, section 15.2).
    Pass,
    /// Only `100 Continue` and `101 Switching Protocols`: some callers take a 103 for the answer.
    Drop,
}

impl Block for Config {
    fn by_default() -> Option<Self> {
        Some(Config::Pass)
    }
}

/// Keeps interim answers from the caller.
pub(super) struct DropInterim;

impl DropInterim {
    fn new(config: Option<Config>) -> Option<Self> {
        (config == Some(Config::Drop)).then_some(DropInterim)
    }
}

impl FromBlocks for DropInterim {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        DropInterim::new(blocks.get().copied())
    }
}

impl Filter for DropInterim {
    type State<'a> = ();

    fn on_request(&self, request: &mut Request, _: &Exchange<'_>) -> Result<(), Error> {
        let caller = request.context.interim.take();
        request.context.interim = caller.map(|caller| Arc::new(Quiet(caller)) as Arc<dyn Interim>);
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::testing::{Caller, exchange, request};

    #[test]
    fn a_caller_hears_nothing_and_is_still_asked_for_its_body() {
        let caller = Arc::new(Caller::default());
        let mut request = request("PUT", "/");
        request.context.interim = Some(caller.clone());
        DropInterim::new(Some(Config::Drop))
            .unwrap()
            .on_request(&mut request, exchange())
            .unwrap();
        let quiet = request.context.interim.unwrap();
        quiet.send(StatusCode::EARLY_HINTS, &Headers::new());
        assert_eq!(caller.heard(), []);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(quiet.poll_body_begun(&mut cx).is_pending());
        caller.begin_body();
        assert!(quiet.poll_body_begun(&mut cx).is_ready());
    }

    #[test]
    fn what_passes_costs_nothing() {
        assert!(DropInterim::new(Some(Config::Pass)).is_none());
        assert!(DropInterim::new(None).is_none());
    }
}
