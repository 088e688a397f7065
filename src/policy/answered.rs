//! The answer that the proxy makes out of a failure, which no stack sees: what a policy may change about it.

use std::sync::Arc;
use std::time::Duration;

use crate::http::message::Response;

/// Changes a problem document (RFC 9457) that is about to be sent in place of an answer.
pub type ChangeFailure = fn(&mut Response, Answered);

/// What is known of a request when there is an answer to it.
pub struct Answered {
    pub route: Arc<str>,
    pub request_id: String,
    /// Since the head of the request.
    pub took: Duration,
}
