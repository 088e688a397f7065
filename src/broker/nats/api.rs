//! What is asked of JetStream: JSON, sent to subjects below `$JS.API`.

use std::time::Duration;

use async_nats::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::replies::Unanswered;
use super::session::Session;

/// The longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Why something that was asked is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no such stream, consumer or message.
    Missing,
    /// It is said to be impossible, in a sentence.
    Refused(String),
    /// There was no answer: it may be different the next time.
    Unanswered(String),
}

impl Failure {
    /// In a sentence. `what` is what was asked about.
    pub fn sentence(self, what: &str) -> String {
        match self {
            Failure::Missing => format!("there is no {what}"),
            Failure::Refused(why) | Failure::Unanswered(why) => format!("{what}: {why}"),
        }
    }
}

/// What JetStream says is wrong. Its numbers are in the server's `errors.json`.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub code: u16,
    #[serde(default)]
    pub err_code: u32,
    #[serde(default)]
    pub description: String,
}

#[derive(Deserialize)]
struct Wrong {
    error: Option<ApiError>,
}

/// Asks for `what`, such as `STREAM.INFO.orders`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn ask(session: &Session, what: &str, body: &Value) -> Result<Value, Failure> {
    let unanswered = |why: &str| Failure::Unanswered(why.to_owned());
    let subject = format!("$JS.API.{what}");
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = session.request(subject.into(), None, body.into());
    let answer = tokio::time::timeout(LIMIT, request)
        .await
        .map_err(|_| unanswered("JetStream does not answer"))?
        .map_err(|why| match why {
            Unanswered::TooLarge => Failure::Refused("the request is too large".to_owned()),
            Unanswered::Forbidden => {
                Failure::Refused("NATS does not permit to ask JetStream for this".to_owned())
            }
            Unanswered::Unsent | Unanswered::Lost => unanswered("the connection was lost"),
        })?;
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(unanswered("JetStream is not enabled on this server"));
    }
    let wrong: Wrong = serde_json::from_slice(&answer.payload)
        .map_err(|_| unanswered("what answers is not JetStream"))?;
    match wrong.error {
        None => serde_json::from_slice(&answer.payload)
            .map_err(|_| unanswered("what answers is not JetStream")),
        Some(error) if error.code == 404 => Err(Failure::Missing),
        Some(error) if error.code == 503 => Err(Failure::Unanswered(error.description)),
        Some(error) => Err(Failure::Refused(error.description)),
    }
}
