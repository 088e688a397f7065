//! What is sent once more, at once: what certainly was not processed, without the route's policies.

use super::Sending;
use super::ask::Asked;
use crate::http::error::{Error, Progress, UPSTREAM_RESET};
use crate::http::exchange::Exchange;
use crate::http::fault::Fault;
use crate::http::message::{Request, Tried};
use crate::http::semantics::method::is_idempotent;
use crate::upstream::Upstream;
use crate::upstream::attempt::Attempt;

/// What is sent once more, at once, without the route's policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    Nothing,
    /// What met a kept-alive connection that the upstream was just closing.
    Stale,
    /// All that certainly was not processed.
    Unprocessed,
}

/// How often a request is sent once more at most because the connection that it went over ended. Of such a request
/// the upstream has seen nothing, so that more attempts are no more work for it.
const UNSEEN: u32 = 8;

impl Upstream {
    /// Sends a request once more that the endpoint of the hash `failed` did not take; and a few times more while it meets
    /// connections that end before the upstream looks at it, as happens when more requests wait than a connection may
    /// carry in its life.
    pub(super) async fn send_again(
        &self,
        failed: u64,
        request: &mut Request,
        sending: Sending,
        exchange: &Exchange<'_>,
        had_body: bool,
    ) -> Result<(Attempt, Asked, usize), Error> {
        let mut left = UNSEEN;
        let here = Tried::default();
        let tried = exchange.tried().unwrap_or_else(|| {
            here.note(failed);
            &here
        });
        loop {
            let picked = self.pick(request, Some(tried));
            let attempt = picked.map_err(|error| self.unreached(error, Some(tried)))?;
            sending.name(attempt.endpoint(), request);
            let asked = self
                .ask(&attempt, request, exchange, Some(tried), true)
                .await;
            left -= 1;
            let again = asked.unseen
                && left > 0
                && asked.answer.as_ref().is_err_and(|error| {
                    self.may_resend(sending.resend, error, request, true, had_body)
                });
            if !again {
                return Ok((attempt, asked, tried.count()));
            }
        }
    }

    pub(super) fn may_resend(
        &self,
        resend: Resend,
        error: &Error,
        request: &Request,
        reused: bool,
        had_body: bool,
    ) -> bool {
        if resend == Resend::Nothing || (resend == Resend::Stale && !reused) {
            return false;
        }
        let whole = !had_body || !request.body.is_empty();
        match (error.reason(), error.progress()) {
            (UPSTREAM_RESET, Progress::Unsent) => whole,
            (UPSTREAM_RESET, Progress::Sent) => whole && reused && is_idempotent(&request.method),
            // Another endpoint may take it; the same one would most likely refuse again.
            (reason, Progress::Unsent) => {
                reason.fault == Some(Fault::Connect) && whole && self.has_alternative()
            }
            _ => false,
        }
    }
}
