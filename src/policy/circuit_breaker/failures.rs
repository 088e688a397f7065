//! What counts as a failure.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::http::error::Reason;
use crate::http::fault::Fault;
use crate::http::grpc::Status;
use crate::policy::graphql::GRAPHQL_ERRORS;
use crate::value::Wrong;

/// One entry of `failures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `"5xx"`: an answer of the upstream with such a status.
    ServerError,
    /// `"timeout"`: the route's `timeout`, `idle_timeout` or `deadline` passed. A shorter time that a caller asked
    /// for does not count.
    Timeout,
    /// `"connect"`: no connection could be made, or there was no endpoint to connect to.
    Connect,
    /// `"reset"`: the connection broke, or what came was no HTTP, before the end of the answer.
    Reset,
    /// `"grpc"`: a gRPC status of 2, 4, 13, 14 or 15, wherever it stands, or an answer that ends without one. That of
    /// gRPC-Web counts in a head only.
    Grpc,
    /// `"graphql"`: an answer of 2xx with errors in it, as the route's policy `graphql` finds them.
    GraphQl,
    /// An answer of the upstream with this status.
    Status(StatusCode),
}

impl Failure {
    pub fn usual() -> Vec<Failure> {
        use Failure::{Connect, Reset, ServerError, Timeout};
        vec![ServerError, Timeout, Connect, Reset]
    }

    fn from_status(status: u64) -> Result<Self, Wrong> {
        match u16::try_from(status).map(StatusCode::from_u16) {
            Ok(Ok(status)) if (400..=599).contains(&status.as_u16()) => Ok(Failure::Status(status)),
            _ => Err(Wrong::new(format!("`{status}` is no status of an error"))
                .help("those are from 400 to 599")),
        }
    }
}

impl FromStr for Failure {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        Ok(match text {
            "5xx" => Failure::ServerError,
            "timeout" => Failure::Timeout,
            "connect" => Failure::Connect,
            "reset" => Failure::Reset,
            "grpc" => Failure::Grpc,
            "graphql" => Failure::GraphQl,
            text => match text.parse() {
                Ok(status) => return Failure::from_status(status),
                Err(_) => {
                    return Err(Wrong::new(format!("`{text}` is no failure")).help(
                        "there are \"5xx\", \"timeout\", \"connect\", \"reset\", \"grpc\", \
                         \"graphql\" and statuses such as 429",
                    ));
                }
            },
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::ServerError => "5xx",
            Failure::Timeout => "timeout",
            Failure::Connect => "connect",
            Failure::Reset => "reset",
            Failure::Grpc => "grpc",
            Failure::GraphQl => "graphql",
            Failure::Status(status) => status.as_str(),
        })
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FailureVisitor;

        impl Visitor<'_> for FailureVisitor {
            type Value = Failure;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a failure such as \"5xx\", or a status such as 429")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Failure, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<Failure, E> {
                Failure::from_status(status).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, status: i64) -> Result<Failure, E> {
                self.visit_u64(status.try_into().unwrap_or_default())
            }
        }

        deserializer.deserialize_any(FailureVisitor)
    }
}

/// The list, in a form that is quick to ask.
pub struct Classes {
    server_error: bool,
    pub timeout: bool,
    connect: bool,
    reset: bool,
    pub grpc: bool,
    graphql: bool,
    statuses: Box<[StatusCode]>,
}

impl Classes {
    pub fn new(failures: &[Failure]) -> Self {
        let has = |failure| failures.contains(&failure);
        Classes {
            server_error: has(Failure::ServerError),
            timeout: has(Failure::Timeout),
            connect: has(Failure::Connect),
            reset: has(Failure::Reset),
            grpc: has(Failure::Grpc),
            graphql: has(Failure::GraphQl),
            statuses: failures
                .iter()
                .filter_map(|failure| match failure {
                    Failure::Status(status) => Some(*status),
                    _ => None,
                })
                .collect(),
        }
    }

    pub fn status(&self, status: StatusCode) -> bool {
        self.server_error && status.is_server_error() || self.statuses.contains(&status)
    }

    /// Whether the upstream is to blame for what went wrong; None when somebody else is, so that it says nothing
    /// about the upstream.
    pub fn reason(&self, reason: Reason) -> Option<bool> {
        match reason.fault {
            Some(Fault::NoEndpoint | Fault::Connect) => Some(self.connect),
            Some(Fault::Timeout) => Some(self.timeout),
            Some(Fault::Reset) => Some(self.reset),
            None => (reason == GRAPHQL_ERRORS).then_some(self.graphql),
        }
    }
}

/// Whether a gRPC status is that of a failure; None when it says nothing about the upstream: the time that passed is
/// the one of a caller who is `hurried`.
pub fn is_grpc_failure(status: &[u8], hurried: bool) -> Option<bool> {
    match Status::read(status) {
        Some(Status::DEADLINE_EXCEEDED) if hurried => None,
        status => Some(status.is_some_and(Status::blames_upstream)),
    }
}
