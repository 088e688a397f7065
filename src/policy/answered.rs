//! The answer that the proxy makes out of a failure, which no stack sees: what a policy may change about it.

pub use crate::http::envelope::Answered;
use crate::http::message::Response;

/// Changes a problem document (RFC 9457) that is about to be sent in place of an answer.
pub type ChangeFailure = fn(&mut Response, Answered);
