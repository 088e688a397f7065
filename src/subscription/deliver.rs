//! What a subscription needs of the proxy: a route that answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::http::error::HEADERS_TOO_LARGE;
use crate::http::message::Request;

/// The most that is read of an answer.
pub const MOST_OF_ANSWER: usize = 64 << 10;

/// Has a route answer a request.
pub trait Deliver: Send + Sync {
    /// Completes when all of the answer is here. Dropping the future ends what is under way.
    fn deliver(&self, route: &Arc<str>, request: Box<Request>) -> BoxFuture<'static, Outcome>;
}

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    /// The proxy's word for why, when it answered itself.
    pub refused: Option<&'static str>,
    /// Nobody but the proxy has seen the request.
    pub unsent: bool,
    pub retry_after: Option<Duration>,
    /// The answer's first bytes, at most [`MOST_OF_ANSWER`].
    pub body: Bytes,
}

impl Outcome {
    /// Of a request that nobody has taken.
    pub fn not_taken() -> Self {
        Outcome {
            status: 503,
            refused: Some("draining"),
            unsent: true,
            ..Outcome::timed_out()
        }
    }

    /// Of a message of which no request can be made, however often that is tried.
    pub(super) fn unfit() -> Self {
        Outcome {
            status: HEADERS_TOO_LARGE.status,
            refused: Some(HEADERS_TOO_LARGE.name),
            unsent: true,
            ..Outcome::timed_out()
        }
    }

    /// Of a request that was given up.
    pub fn timed_out() -> Self {
        Outcome {
            status: 504,
            refused: Some("timeout"),
            unsent: false,
            retry_after: None,
            body: Bytes::new(),
        }
    }
}
