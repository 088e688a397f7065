//! What may be sent again: the words of `on`.

use std::fmt;

use http::StatusCode;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::{Serialize, Serializer};

use crate::http::error::{
    Error, Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET, UPSTREAM_TIMEOUT,
};
use crate::http::fault::Fault;
use crate::http::grpc::Status;
use crate::http::message::Response;
use crate::value::Wrong;

/// A kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No connection could be made in time.
    ConnectFailure,
    /// The upstream says that it did not look at the request, or none of it was written.
    RefusedStream,
    /// The connection broke before any of the answer came.
    ResetBeforeResponse,
    Status(StatusCode),
    /// Any status from 500 to 599.
    AnyServerError,
    /// A gRPC answer without messages, with this status.
    Grpc(Status),
}

/// Every word that is not a number.
const WORDS: &[(&str, Class)] = &[
    ("connect-failure", Class::ConnectFailure),
    ("refused-stream", Class::RefusedStream),
    ("reset-before-response", Class::ResetBeforeResponse),
    ("5xx", Class::AnyServerError),
    ("grpc:cancelled", Class::Grpc(Status::CANCELLED)),
    ("grpc:unknown", Class::Grpc(Status::UNKNOWN)),
    (
        "grpc:deadline-exceeded",
        Class::Grpc(Status::DEADLINE_EXCEEDED),
    ),
    (
        "grpc:resource-exhausted",
        Class::Grpc(Status::RESOURCE_EXHAUSTED),
    ),
    ("grpc:aborted", Class::Grpc(Status::ABORTED)),
    ("grpc:internal", Class::Grpc(Status::INTERNAL)),
    ("grpc:unavailable", Class::Grpc(Status::UNAVAILABLE)),
    ("grpc:data-loss", Class::Grpc(Status::DATA_LOSS)),
];

/// For the message about a word that is none of them.
const EXPECTED: &[&str] = &[
    "connect-failure",
    "refused-stream",
    "reset-before-response",
    "400 to 599",
    "5xx",
    "grpc:cancelled",
    "grpc:unknown",
    "grpc:deadline-exceeded",
    "grpc:resource-exhausted",
    "grpc:aborted",
    "grpc:internal",
    "grpc:unavailable",
    "grpc:data-loss",
];

impl Class {
    pub(super) fn by_default() -> Vec<Class> {
        let statuses = [
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        [
            Class::ConnectFailure,
            Class::RefusedStream,
            Class::ResetBeforeResponse,
        ]
        .into_iter()
        .chain(statuses.map(Class::Status))
        .collect()
    }

    /// Whether a failure of this class says that the request was certainly not processed.
    pub(super) fn is_safe(self) -> bool {
        matches!(self, Class::ConnectFailure | Class::RefusedStream)
    }

    pub(super) fn is_grpc(self) -> bool {
        matches!(self, Class::Grpc(_))
    }

    /// Whether `outcome` is of this class. A limit on an attempt that is over counts as 504, an answer that is no
    /// HTTP as 502.
    pub(super) fn has(self, outcome: Result<&Response, &Error>) -> bool {
        match outcome {
            Ok(response) => self.has_answer(response),
            Err(error) => self.has_failure(error),
        }
    }

    fn has_answer(self, response: &Response) -> bool {
        match self {
            Class::Status(status) => response.status == status,
            Class::AnyServerError => response.status.is_server_error(),
            Class::Grpc(wanted) => Status::in_head(&response.headers) == Some(wanted),
            _ => false,
        }
    }

    fn has_failure(self, error: &Error) -> bool {
        let reset = |progress| error.reason() == UPSTREAM_RESET && error.progress() == progress;
        match self {
            // All that goes wrong before a request can be sent. A server may refuse our certificate later than that.
            Class::ConnectFailure => {
                error.reason().fault == Some(Fault::Connect) && error.progress() == Progress::Unsent
            }
            Class::RefusedStream => reset(Progress::Unsent),
            Class::ResetBeforeResponse => reset(Progress::Sent),
            Class::AnyServerError => {
                [UPSTREAM_TIMEOUT, UPSTREAM_PROTOCOL_ERROR].contains(&error.reason())
            }
            Class::Status(StatusCode::GATEWAY_TIMEOUT) => error.reason() == UPSTREAM_TIMEOUT,
            Class::Status(StatusCode::BAD_GATEWAY) => error.reason() == UPSTREAM_PROTOCOL_ERROR,
            Class::Status(_) => false,
            Class::Grpc(wanted) => {
                wanted == Status::DEADLINE_EXCEEDED && error.reason() == UPSTREAM_TIMEOUT
            }
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WORDS.iter().find(|(_, class)| class == self) {
            Some((word, _)) => f.write_str(word),
            None => match self {
                Class::Status(status) => f.write_str(status.as_str()),
                _ => Ok(()),
            },
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Some((_, class)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(*class);
        }
        let status = text.parse::<StatusCode>().ok();
        match status.filter(|status| status.is_client_error() || status.is_server_error()) {
            Some(status) => Ok(Class::Status(status)),
            None => Err(match elsewhere(&text).or_else(|| of_grpc(&text)) {
                Some(meant) => D::Error::custom(
                    Wrong::new(format!("unknown value `{text}`")).help(format!("write {meant}")),
                ),
                None if text.parse::<u16>().is_ok() => D::Error::custom(
                    Wrong::new(format!("`{text}` is no failure"))
                        .help("write a status from 400 to 599"),
                ),
                None => D::Error::unknown_variant(&text, EXPECTED),
            }),
        }
    }
}

/// What a word of other proxies is called here.
fn elsewhere(word: &str) -> Option<&'static str> {
    Some(match word {
        "gateway-error" => "\"502\", \"503\", \"504\"",
        "retriable-4xx" => "\"409\"",
        "envoy-ratelimited" | "http_429" => "\"429\"",
        "http_500" => "\"500\"",
        "reset" => "\"reset-before-response\"",
        "reset-before-request" => "\"refused-stream\"",
        "http3-post-connect-failure" => "\"connect-failure\"",
        "retriable-status-codes" => "each status, such as \"503\"",
        "retriable-headers" | "invalid_header" => "each status, such as \"502\"",
        "error" | "timeout" | "http_502" | "http_503" | "http_504" => {
            "\"connect-failure\", \"502\", \"503\", \"504\""
        }
        _ => return None,
    })
}

/// A status of gRPC as Envoy writes it, without the word that tells it from others here.
fn of_grpc(word: &str) -> Option<&'static str> {
    Some(match word {
        "cancelled" => "\"grpc:cancelled\"",
        "deadline-exceeded" => "\"grpc:deadline-exceeded\"",
        "internal" => "\"grpc:internal\"",
        "resource-exhausted" => "\"grpc:resource-exhausted\"",
        "unavailable" => "\"grpc:unavailable\"",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::{CONNECT_FAILED, CONNECT_TIMEOUT, OVERLOADED};

    fn class(word: &str) -> Class {
        serde_json::from_value(word.into()).unwrap()
    }

    #[test]
    fn every_word_is_itself() {
        for word in EXPECTED.iter().filter(|word| !word.contains(" to ")) {
            assert_eq!(class(word).to_string(), *word);
        }
        assert!(WORDS.iter().all(|(word, _)| EXPECTED.contains(word)));
        assert_eq!(class("429"), Class::Status(StatusCode::TOO_MANY_REQUESTS));
        for wrong in ["200", "302", "600", "50", "", "reset", "grpc:ok"] {
            assert!(
                serde_json::from_value::<Class>(wrong.into()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_other_proxies_call_it_is_told_in_our_words() {
        for (word, meant) in [
            ("gateway-error", "\"502\", \"503\", \"504\""),
            ("reset-before-request", "\"refused-stream\""),
            ("retriable-4xx", "\"409\""),
            ("envoy-ratelimited", "\"429\""),
            ("unavailable", "\"grpc:unavailable\""),
        ] {
            let error = serde_json::from_value::<Class>(word.into()).unwrap_err();
            let said = error.to_string();
            assert!(said.ends_with(&format!("write {meant}")), "{word}: {said}");
            for word in meant.split(", ") {
                class(word.trim_matches('"'));
            }
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let failed =
            |class: Class, reason, progress| class.has(Err(&Error::new(reason, "").at(progress)));
        use Progress::{Answering, Sent, Unsent};
        assert!(failed(Class::ConnectFailure, CONNECT_FAILED, Unsent));
        assert!(failed(Class::ConnectFailure, CONNECT_TIMEOUT, Unsent));
        assert!(failed(Class::RefusedStream, UPSTREAM_RESET, Unsent));
        assert!(!failed(Class::RefusedStream, UPSTREAM_RESET, Sent));
        assert!(failed(Class::ResetBeforeResponse, UPSTREAM_RESET, Sent));
        assert!(!failed(
            Class::ResetBeforeResponse,
            UPSTREAM_RESET,
            Answering
        ));
        assert!(failed(class("504"), UPSTREAM_TIMEOUT, Sent));
        assert!(failed(class("502"), UPSTREAM_PROTOCOL_ERROR, Answering));
        for class in Class::by_default() {
            assert!(
                !failed(class, OVERLOADED, Unsent),
                "{class}: a refusal of ours"
            );
        }
    }
}
