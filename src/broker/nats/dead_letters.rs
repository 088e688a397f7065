//! Dead letters are looked at, put back and deleted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Failure};
use super::headers::{self, DEDUPLICATED, EXPECTED_STREAM, Notes};
use super::names::Place;
use super::publish;
use super::session::Session;
use crate::broker::{DeadLetter, Message, Refusal};

/// The longest that putting one back may take.
const LIMIT: Duration = Duration::from_secs(5);

/// A dead letter, as it is stored.
struct Stored {
    sequence: u64,
    since: Option<SystemTime>,
    message: Message,
    notes: Notes,
}

#[derive(Deserialize)]
struct Found {
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    time: String,
}

/// The first `limit` of them.
pub(super) async fn first(
    session: &Session,
    place: &Place,
    limit: usize,
) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Vec::new();
    let mut from = 1;
    while letters.len() < limit
        && let Some(stored) = next(session, place, from).await?
    {
        from = stored.sequence + 1;
        letters.push(DeadLetter {
            message: stored.message,
            reason: stored.notes.reason.unwrap_or_default(),
            attempts: stored.notes.attempts.unwrap_or_default(),
            since: stored.since,
        });
    }
    Ok(letters)
}

/// Puts the first `limit` of them back, each before it is deleted.
pub(super) async fn replay(
    session: &Session,
    place: &Place,
    limit: usize,
) -> Result<usize, String> {
    let mut replayed = 0;
    let mut from = 1;
    while replayed < limit
        && let Some(stored) = next(session, place, from).await?
    {
        from = stored.sequence + 1;
        put_back(session, place, &stored).await?;
        if delete(session, place, stored.sequence).await? {
            replayed += 1;
        }
    }
    Ok(replayed)
}

/// Deletes the first `limit` of them.
pub(super) async fn discard(
    session: &Session,
    place: &Place,
    limit: usize,
) -> Result<usize, String> {
    let mut deleted = 0;
    let mut from = 1;
    while deleted < limit
        && let Some(stored) = next(session, place, from).await?
    {
        from = stored.sequence + 1;
        if delete(session, place, stored.sequence).await? {
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The first one whose number is at least `from`.
async fn next(session: &Session, place: &Place, from: u64) -> Result<Option<Stored>, String> {
    let stream = place.dead_stream();
    let get = json!({ "seq": from, "next_by_subj": place.dead_letters() });
    let found = match api::ask(session, &format!("STREAM.MSG.GET.{stream}"), &get).await {
        Ok(mut found) => found["message"].take(),
        Err(Failure::Missing) => return Ok(None),
        Err(failure) => return Err(failure.sentence(&format!("stream `{stream}`"))),
    };
    let unreadable = |_| format!("what stands in the stream `{stream}` cannot be read");
    let found: Found = serde_json::from_value(found).map_err(unreadable)?;
    let bytes = |text: &str| STANDARD.decode(text).unwrap_or_default();
    let lines = headers::lines(&bytes(&found.hdrs));
    let unnamed = || format!("{stream}:{}", found.seq);
    let (message, notes) = headers::read(lines, Bytes::from(bytes(&found.data)), unnamed);
    Ok(Some(Stored {
        sequence: found.seq,
        since: humantime::parse_rfc3339_weak(&found.time).ok(),
        message,
        notes,
    }))
}

/// To where only this consumer sees it, as if it were new.
async fn put_back(session: &Session, place: &Place, stored: &Stored) -> Result<(), String> {
    let mut headers = headers::of(&stored.message)?;
    let notes = Notes {
        subject: stored.notes.subject.clone(),
        attempt: Some(1),
        ..Notes::default()
    };
    notes.add_to(&mut headers);
    // It is never the same message for the server, however often it is replayed.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    let id = format!("replay {} {now}", stored.sequence);
    for (name, value) in [(DEDUPLICATED, id), (EXPECTED_STREAM, place.retry_stream())] {
        if let Ok(value) = value.parse::<HeaderValue>() {
            headers.insert(name, value);
        }
    }
    let body = stored.message.body.clone();
    let store = publish::store(session, place.replayed().into(), headers, body);
    match tokio::time::timeout(LIMIT, store).await {
        Ok(Ok(_stored)) => Ok(()),
        Ok(Err(
            Refusal::Unroutable(why)
            | Refusal::Rejected(why)
            | Refusal::Unfit(why)
            | Refusal::Blocked(why)
            | Refusal::Unavailable(why)
            | Refusal::Unknown(why),
        )) => Err(why),
        Err(_) => Err("NATS does not answer".to_owned()),
    }
}

/// False when somebody else has deleted it.
async fn delete(session: &Session, place: &Place, sequence: u64) -> Result<bool, String> {
    let stream = place.dead_stream();
    let body = json!({ "seq": sequence, "no_erase": true });
    match api::ask(session, &format!("STREAM.MSG.DELETE.{stream}"), &body).await {
        Ok(_) => Ok(true),
        Err(Failure::Missing) => Ok(false),
        Err(failure) => Err(failure.sentence(&format!("stream `{stream}`"))),
    }
}
