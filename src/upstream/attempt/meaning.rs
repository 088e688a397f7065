//! What comes of an attempt, and what that says about its endpoint: one table, by which everybody goes who keeps account
//! of endpoints.
//!
//! A circuit breaker has a table of its own, as each route says itself what counts there. What an error says about the
//! upstream, both read off its [`Fault`].

use std::borrow::Cow;

use http::StatusCode;

use crate::http::error::{Error, OVERLOADED, Progress, Reason, UPSTREAM_RESET};
use crate::http::fault::Fault;
use crate::http::grpc::Status;
use crate::http::message::Response;
use crate::upstream::metrics::Ended;

/// What came of an attempt. Of one that is answered something comes twice: the head of the answer, and what is behind it.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// The head of an answer.
    Answered(&'a Response),
    /// The status behind the messages of a gRPC answer.
    Status(Status),
    Failed(&'a Error),
    /// The time that the route gives is over.
    TimedOut,
    /// The time that the caller asked for is over, which was shorter.
    CallerTimedOut,
    /// Nobody waits for the answer any more, or for the rest of it.
    Cancelled,
}

/// What else has to be known of an attempt.
#[derive(Clone, Copy)]
pub struct Facts {
    /// It went over a connection that the endpoint may have closed because it was idle.
    pub stale: bool,
    /// It may have been a call of gRPC.
    pub grpc: bool,
    pub reached: Reached,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Not out of our own pool.
    Queue,
    /// It was connecting.
    Endpoint,
    /// A connection had the request.
    Asked,
    /// Its answer had begun.
    Answer,
}

/// Whether the endpoint is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Failure,
    /// Nothing: it is the caller's doing, or ours.
    Neither,
}

/// What the time that the endpoint had is to the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    Answered,
    /// Of an answer that may be quick because nothing was done for it.
    Refused,
    /// An answer would have taken longer.
    GivenUp,
    Failed,
    Nothing,
}

/// What follows from the outcome of an attempt.
pub struct Meaning {
    pub verdict: Verdict,
    pub latency: Latency,
    /// Nothing is counted of an attempt that had no connection to ask by, and each at its head.
    pub counted: Option<Ended>,
}

impl Outcome<'_> {
    /// Whether it is a good answer, as far as its head says.
    #[inline]
    pub fn is_good(self) -> bool {
        match self {
            // What a call of gRPC failed with stands in a head without a body.
            Outcome::Answered(response) => {
                response.status.as_u16() < 400
                    && (!response.body.is_empty()
                        || matches!(Status::in_head(&response.headers), None | Some(Status::OK)))
            }
            _ => false,
        }
    }

    /// A word for it, and a sentence for operators.
    #[cold]
    pub fn in_words(self) -> (Cow<'static, str>, Option<Box<str>>) {
        let word = match self {
            Outcome::Answered(response) => {
                return match Status::in_head(&response.headers) {
                    Some(status) if status != Status::OK => (status.name().into(), None),
                    _ => (response.status.as_str().to_owned().into(), None),
                };
            }
            Outcome::Status(status) => status.name(),
            Outcome::Failed(error) => {
                let why = match error.cause() {
                    Some(cause) => cause.to_string(),
                    None => error.detail().to_owned(),
                };
                return (error.reason().name.into(), Some(why.into()));
            }
            Outcome::TimedOut | Outcome::CallerTimedOut => "timeout",
            Outcome::Cancelled => "cancelled",
        };
        (word.into(), None)
    }

    #[inline]
    pub fn meaning(self, facts: Facts) -> Meaning {
        match self {
            Outcome::Answered(response) => Meaning::of_answer(response, facts.grpc),
            Outcome::Status(status) => Meaning::behind(Verdict::of_status(status)),
            _ => self.without_answer(facts),
        }
    }

    #[cold]
    fn without_answer(self, facts: Facts) -> Meaning {
        let (verdict, latency, counted) = match (self, facts.reached) {
            (Outcome::Answered(response), _) => return Meaning::of_answer(response, facts.grpc),
            (Outcome::Status(status), _) => return Meaning::behind(Verdict::of_status(status)),
            (Outcome::Failed(error), Reached::Answer) => {
                return Meaning::behind(Verdict::of_failure(error));
            }
            (_, Reached::Answer) => return Meaning::behind(Verdict::Neither),
            (Outcome::Failed(error), _) => {
                let verdict = match error.reason() {
                    UPSTREAM_RESET if facts.stale => Verdict::Neither,
                    _ => Verdict::of_failure(error),
                };
                let latency = match verdict {
                    Verdict::Failure => Latency::Failed,
                    _ => Latency::Nothing,
                };
                let counted = match error.reason() {
                    OVERLOADED => None,
                    reason if is_of_endpoint(reason) => Some(Ended::Failed),
                    _ => Some(Ended::Cancelled),
                };
                (verdict, latency, counted)
            }
            (_, Reached::Queue) => (Verdict::Neither, Latency::Nothing, None),
            (Outcome::TimedOut, _) => (Verdict::Failure, Latency::Failed, Some(Ended::TimedOut)),
            // Neither says anything about the endpoint, or one caller could have it ejected for all others.
            (Outcome::CallerTimedOut, reached) => {
                (Verdict::Neither, given_up(reached), Some(Ended::TimedOut))
            }
            (Outcome::Cancelled, reached) => {
                (Verdict::Neither, given_up(reached), Some(Ended::Cancelled))
            }
        };
        Meaning {
            verdict,
            latency,
            counted,
        }
    }
}

impl Meaning {
    #[inline]
    fn of_answer(response: &Response, grpc: bool) -> Self {
        let (verdict, latency) = match response.status {
            StatusCode::OK if grpc => match Status::in_head(&response.headers) {
                Some(status) if status.refuses_load() => (Verdict::Good, Latency::Refused),
                Some(status) if status.blames_endpoint() => (Verdict::Failure, Latency::Refused),
                _ => (Verdict::Good, Latency::Answered),
            },
            // As nearly all are.
            status if status < StatusCode::TOO_MANY_REQUESTS => (Verdict::Good, Latency::Answered),
            StatusCode::TOO_MANY_REQUESTS => (Verdict::Good, Latency::Refused),
            StatusCode::NOT_IMPLEMENTED => (Verdict::Good, Latency::Answered),
            status if status.is_server_error() => (Verdict::Failure, Latency::Refused),
            _ => (Verdict::Good, Latency::Answered),
        };
        Meaning {
            verdict,
            latency,
            counted: Some(Ended::Answered(response.status)),
        }
    }

    /// How fast it answered, and that it did, is told at the head.
    #[inline]
    fn behind(verdict: Verdict) -> Self {
        Meaning {
            verdict,
            latency: Latency::Nothing,
            counted: None,
        }
    }
}

/// Connecting is not yet the endpoint's time.
fn given_up(reached: Reached) -> Latency {
    match reached {
        Reached::Asked => Latency::GivenUp,
        Reached::Endpoint | Reached::Queue | Reached::Answer => Latency::Nothing,
    }
}

impl Verdict {
    #[inline]
    fn of_status(status: Status) -> Self {
        if status.blames_endpoint() {
            Verdict::Failure
        } else {
            Verdict::Good
        }
    }

    /// Also of an answer that fails behind its head. A time limit that passes there is not held against the endpoint: how
    /// long an answer lasts depends on what was asked for, and on how fast it is read.
    fn of_failure(error: &Error) -> Self {
        let unsent = error.reason() == UPSTREAM_RESET && error.progress() == Progress::Unsent;
        if is_of_endpoint(error.reason()) && !unsent {
            Verdict::Failure
        } else {
            Verdict::Neither
        }
    }
}

/// Whether it is between us and the endpoint that something went wrong.
fn is_of_endpoint(reason: Reason) -> bool {
    matches!(reason.fault, Some(Fault::Connect | Fault::Reset))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::http::body::Body;
    use crate::http::error::{
        CONNECT_FAILED, CONNECT_TIMEOUT, DEADLINE_EXCEEDED, OVERLOADED, REQUEST_TIMEOUT,
        UPSTREAM_PROTOCOL_ERROR, UPSTREAM_TIMEOUT,
    };
    use crate::testing::headers;

    fn verdict(outcome: Outcome<'_>, stale: bool) -> Verdict {
        let facts = Facts {
            stale,
            grpc: true,
            reached: Reached::Asked,
        };
        outcome.meaning(facts).verdict
    }

    fn answered(status: u16, fields: &[(&str, &str)]) -> Verdict {
        let mut response = Response::new(StatusCode::from_u16(status).unwrap(), Body::empty());
        response.headers = headers(fields);
        verdict(Outcome::Answered(&response), false)
    }

    #[test]
    fn answers_of_5xx_are_failures_but_for_what_is_not_implemented() {
        for status in [500, 502, 503, 504, 599] {
            assert_eq!(answered(status, &[]), Verdict::Failure, "{status}");
        }
        for status in [200, 301, 404, 429, 501] {
            assert_eq!(answered(status, &[]), Verdict::Good, "{status}");
        }
    }

    #[test]
    fn the_status_of_grpc_counts() {
        for status in ["2", "13", "14", "15"] {
            let verdict = answered(200, &[("grpc-status", status)]);
            assert_eq!(verdict, Verdict::Failure, "{status}");
        }
        for status in ["0", "3", "5", "7", "8", "12", "16"] {
            let verdict = answered(200, &[("grpc-status", status)]);
            assert_eq!(verdict, Verdict::Good, "{status}");
        }
    }

    #[test]
    fn only_what_the_endpoint_did_counts() {
        let failed = |reason, progress, stale| {
            let error = Error::new(reason, "").at(progress);
            verdict(Outcome::Failed(&error), stale)
        };
        use Progress::{Answering, Sent, Unsent};
        assert_eq!(failed(CONNECT_FAILED, Unsent, false), Verdict::Failure);
        assert_eq!(failed(CONNECT_TIMEOUT, Unsent, false), Verdict::Failure);
        assert_eq!(failed(UPSTREAM_RESET, Sent, false), Verdict::Failure);
        assert_eq!(failed(UPSTREAM_RESET, Answering, false), Verdict::Failure);
        assert_eq!(failed(UPSTREAM_RESET, Sent, true), Verdict::Neither);
        assert_eq!(failed(UPSTREAM_RESET, Unsent, false), Verdict::Neither);
        assert_eq!(failed(OVERLOADED, Unsent, false), Verdict::Neither);
        assert_eq!(failed(REQUEST_TIMEOUT, Sent, false), Verdict::Neither);
    }

    #[test]
    fn behind_the_head_only_the_verdict_is_still_open() {
        let behind = |outcome: Outcome<'_>| {
            let meaning = outcome.meaning(Facts {
                stale: false,
                grpc: true,
                reached: Reached::Answer,
            });
            assert_eq!(meaning.latency, Latency::Nothing);
            assert!(meaning.counted.is_none());
            meaning.verdict
        };
        for (reason, verdict) in [
            (UPSTREAM_RESET, Verdict::Failure),
            (UPSTREAM_PROTOCOL_ERROR, Verdict::Failure),
            (UPSTREAM_TIMEOUT, Verdict::Neither),
            (DEADLINE_EXCEEDED, Verdict::Neither),
            (REQUEST_TIMEOUT, Verdict::Neither),
        ] {
            let error = Error::new(reason, "").at(Progress::Answering);
            assert_eq!(behind(Outcome::Failed(&error)), verdict, "{reason:?}");
        }
        let status = |code: &[u8]| behind(Outcome::Status(Status::read(code).unwrap()));
        assert_eq!(status(b"14"), Verdict::Failure);
        assert_eq!(status(b"4"), Verdict::Good);
        assert_eq!(behind(Outcome::Cancelled), Verdict::Neither);
    }
}
