//! Messages are put into streams, and the server confirms each.

use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, StatusCode, Subject};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::api::{self, ApiError};
use super::headers::{self, DEDUPLICATED};
use super::replies::Unanswered;
use super::session::Session;
use super::subject::OURS;
use crate::broker::{Confirmed, Message, Refusal};

/// The longest subject, in bytes. Behind a longer line than 4 KiB the server ends the connection.
const LONGEST_SUBJECT: usize = 512;
/// The longest id, in bytes.
const LONGEST_ID: usize = 255;
/// What is kept free in the largest message that the server takes, for what is noted of it when it is copied.
const NOTES: usize = 2 << 10;
/// How long the servers may take to say which streams there are.
const LEADERS: Duration = Duration::from_secs(1);
/// The server's number for a message that is larger than its stream takes.
const TOO_LARGE: u32 = 10054;

/// Publishes a message of a caller's.
///
/// # Errors
/// Why it is not known to be stored.
pub(super) async fn publish(
    session: &Session,
    subject: &str,
    message: &Message,
) -> Result<Confirmed, Refusal> {
    if let Some(wrong) = wrong_subject(subject) {
        return Err(Refusal::Unfit(wrong));
    }
    if message.id.is_empty() || message.id.len() > LONGEST_ID {
        let wrong = format!("the id of the message does not have 1 to {LONGEST_ID} bytes");
        return Err(Refusal::Unfit(wrong));
    }
    let mut headers = headers::of(message).map_err(Refusal::Unfit)?;
    // One id may be used for several subjects, and by several sources. It was looked at as a header of its own.
    let source = message.event_source().unwrap_or_default();
    if let Ok(id) = format!("{subject} {source} {}", message.id).parse::<HeaderValue>() {
        headers.insert(DEDUPLICATED, id);
    }
    let size = message.body.len() + size_of(&headers);
    let most = session.max_payload().saturating_sub(NOTES);
    if size > most {
        return Err(Refusal::TooLarge(format!(
            "the message has {size} bytes with its headers, and NATS takes {most}"
        )));
    }
    let stored = store(session, subject.into(), headers, message.body.clone()).await;
    match stored {
        Err(Refusal::Unroutable(why)) => Err(nobody_takes(session, subject, why).await),
        stored => stored,
    }
}

/// Nobody takes messages of this subject, as there is no stream for it, or because its servers have not yet agreed which
/// of them leads: then it has not been stored, and there will be somebody soon.
async fn nobody_takes(session: &Session, subject: &str, why: String) -> Refusal {
    let names = json!({ "subject": subject });
    let asked = api::ask(session, "STREAM.NAMES", &names);
    match tokio::time::timeout(LEADERS, asked).await {
        Ok(Ok(found)) => match found["streams"][0].as_str() {
            None => Refusal::Unroutable(why),
            Some(stream) => Refusal::Unavailable(format!(
                "no server leads the stream `{stream}` at the moment"
            )),
        },
        // Who may publish may not be permitted to ask; or this server has no JetStream at all.
        Ok(Err(_)) => Refusal::Unroutable(why),
        Err(_) => Refusal::Unavailable("JetStream has no leader at the moment".to_owned()),
    }
}

/// What is wrong with a subject to publish to.
fn wrong_subject(subject: &str) -> Option<String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>';
    if subject.len() > LONGEST_SUBJECT {
        Some(format!("the subject has more than {LONGEST_SUBJECT} bytes"))
    } else if subject.contains(bad) {
        Some(format!(
            "the subject `{}` has a blank, `*` or `>` in it",
            subject.escape_debug()
        ))
    } else if subject.split('.').any(str::is_empty) {
        Some(format!("the subject `{subject}` has an empty token"))
    } else if subject.starts_with('$') || [OURS, "_INBOX"].contains(&first_token(subject)) {
        Some(format!(
            "the subject `{subject}` is one of the server's or of this proxy's own"
        ))
    } else {
        None
    }
}

fn first_token(subject: &str) -> &str {
    subject.split('.').next().unwrap_or_default()
}

/// As the server counts it.
fn size_of(headers: &HeaderMap) -> usize {
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values
            .iter()
            .map(|value| name.len() + value.as_str().len() + 4)
    });
    lines.sum::<usize>() + 12
}

#[derive(Deserialize)]
struct Answer {
    stream: Option<String>,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

/// Puts a message into whichever stream has this subject.
///
/// # Errors
/// Why it is not known to be stored.
pub(super) async fn store(
    session: &Session,
    subject: Subject,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Confirmed, Refusal> {
    let answer = session
        .request(subject.clone(), Some(headers), body)
        .await
        .map_err(|why| match why {
            Unanswered::TooLarge => {
                Refusal::TooLarge("the message is larger than NATS takes".to_owned())
            }
            Unanswered::Forbidden => {
                Refusal::Rejected(format!("NATS does not permit to publish to `{subject}`"))
            }
            Unanswered::Unsent => {
                Refusal::Unavailable("the connection to NATS was lost".to_owned())
            }
            Unanswered::Lost => {
                Refusal::Unknown("the connection was lost before NATS answered".to_owned())
            }
        })?;
    if answer.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(Refusal::Unroutable(format!(
            "no stream has the subject `{subject}`"
        )));
    }
    let unknown = || Refusal::Unknown("what answers is not JetStream".to_owned());
    let answer: Answer = serde_json::from_slice(&answer.payload).map_err(|_| unknown())?;
    match answer {
        Answer {
            error: Some(error), ..
        } if error.err_code == TOO_LARGE => Err(Refusal::TooLarge(error.description)),
        Answer {
            error: Some(error), ..
        } => Err(Refusal::Rejected(error.description)),
        Answer {
            stream: Some(_),
            duplicate,
            ..
        } => Ok(Confirmed { duplicate }),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_to_publish_to_are_plain() {
        for good in ["orders", "orders.new.1", "ä.b", "a-b.c_d"] {
            assert_eq!(wrong_subject(good), None);
        }
        for bad in [
            "",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a\r\nPUB x",
            "a.*",
            "a.>",
            "a*",
            "$JS.API.STREAM.DELETE.orders",
            "_INBOX.x",
            "outrigger.orders.outrigger.dlq",
        ] {
            assert!(wrong_subject(bad).is_some(), "{bad:?}");
        }
        assert!(wrong_subject(&"a".repeat(513)).is_some());
    }
}
