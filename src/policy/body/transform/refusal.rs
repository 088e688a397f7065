//! Why a body is refused, and what the caller is told.

use super::decode::Coding;
use super::step::Failure;
use crate::http::error::{Error, Progress, Reason};
use crate::policy::body::validate::Violations;

/// A request body that is not what the route asks for.
pub const INVALID_BODY: Reason = Reason::new("invalid_body", 400);
/// A request body of more bytes than the route takes.
pub const BODY_TOO_LARGE: Reason = Reason::new("body_too_large", 413);
/// A request body in a `Content-Encoding` that nobody here undoes.
pub const UNSUPPORTED_ENCODING: Reason = Reason::new("unsupported_encoding", 415);
/// A body that could not be changed as the route says.
pub const TRANSFORM_FAILED: Reason = Reason::new("transform_failed", 502);
/// A response body that is not what the route asks for.
pub const INVALID_UPSTREAM_BODY: Reason = Reason::new("invalid_upstream_body", 502);

/// Why a request fails by its own body, or by that of its answer.
pub const OF_REQUESTS: &[Reason] = &[
    INVALID_BODY,
    BODY_TOO_LARGE,
    UNSUPPORTED_ENCODING,
    TRANSFORM_FAILED,
];
pub const OF_RESPONSES: &[Reason] = &[INVALID_UPSTREAM_BODY, TRANSFORM_FAILED];

/// Why a body is refused.
#[derive(Debug)]
pub enum Refused {
    TooLarge,
    UnknownCoding(String),
    NotDecoded(Coding),
    NotJson(String),
    /// By its schema.
    Unfit(Violations),
    Step {
        /// From 1.
        number: usize,
        kind: &'static str,
        why: Failure,
    },
    /// The result is larger than it may be.
    Outgrown,
    /// Part of a document cannot be changed.
    Partial,
    Panicked,
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
}

impl Direction {
    pub fn label(self) -> &'static str {
        match self {
            Direction::Request => "request",
            Direction::Response => "response",
        }
    }

    /// The error for the caller. `limit` is the most bytes that a body may have.
    pub fn error(self, refused: &Refused, limit: usize) -> Error {
        let body = match self {
            Direction::Request => "the request's body",
            Direction::Response => "the body of the upstream's answer",
        };
        let detail = match refused {
            Refused::TooLarge => format!("{body} has more than {limit} bytes"),
            Refused::UnknownCoding(name) => format!(
                "{body} is encoded as {name:?}, which is not undone here; gzip, deflate, br and zstd are"
            ),
            Refused::NotDecoded(coding) => format!("{body} is not what `{}` makes", coding.name()),
            Refused::NotJson(why) => format!("{body} is not JSON: {why}"),
            Refused::Unfit(violations) => format!("{body} does not match its schema: {violations}"),
            Refused::Step { number, kind, why } => {
                format!("step {number} (`{kind}`) cannot change {body}: {why}")
            }
            Refused::Outgrown => format!("{body} would be too large once it is changed"),
            Refused::Partial => format!("{body} is a part of a document, which cannot be changed"),
            Refused::Panicked => format!("{body} could not be changed"),
        };
        let mut error = Error::new(self.reason(refused), detail);
        if let Refused::Unfit(violations) = refused {
            error = error.with_violations(violations.list.clone());
        }
        match self {
            Direction::Request => error,
            Direction::Response => error.at(Progress::Answering),
        }
    }

    fn reason(self, refused: &Refused) -> Reason {
        match (self, refused) {
            (
                _,
                Refused::Step { .. } | Refused::Outgrown | Refused::Partial | Refused::Panicked,
            ) => TRANSFORM_FAILED,
            (Direction::Request, Refused::TooLarge) => BODY_TOO_LARGE,
            (Direction::Request, Refused::UnknownCoding(_)) => UNSUPPORTED_ENCODING,
            (Direction::Request, _) => INVALID_BODY,
            (Direction::Response, Refused::TooLarge | Refused::UnknownCoding(_)) => {
                TRANSFORM_FAILED
            }
            (Direction::Response, _) => INVALID_UPSTREAM_BODY,
        }
    }
}
