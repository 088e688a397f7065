//! Dead letters are looked at, put back and deleted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::HeaderValue;
use serde_json::json;

use super::api::{self, Failure};
use super::headers::{self, DEDUPLICATED, EXPECTED_STREAM, Notes};
use super::names::Place;
use super::publish;
use super::session::Session;
use super::stored;
use crate::broker::{DeadLetter, Message};

/// The longest that putting one back may take.
const LIMIT: Duration = Duration::from_secs(5);

/// No more are looked at when their bodies have so many bytes.
const MOST_BYTES: usize = 16 << 20;

/// A dead letter, as it is stored.
struct Buried {
    sequence: u64,
    since: Option<SystemTime>,
    message: Message,
    notes: Notes,
}

/// The first `limit` of them; fewer when they are large.
pub(super) async fn first(
    session: &Session,
    place: &Place,
    limit: usize,
) -> Result<Vec<DeadLetter>, String> {
    let mut letters = Vec::new();
    let (mut from, mut bytes) = (1, 0);
    while letters.len() < limit
        && bytes < MOST_BYTES
        && let Some(buried) = next(session, place, from).await?
    {
        from = buried.sequence + 1;
        bytes += buried.message.body.len();
        letters.push(DeadLetter {
            message: buried.message,
            reason: buried.notes.reason.unwrap_or_default(),
            attempts: buried.notes.attempts.unwrap_or_default(),
            since: buried.since,
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
        && let Some(buried) = next(session, place, from).await?
    {
        from = buried.sequence + 1;
        put_back(session, place, &buried).await?;
        if delete(session, place, buried.sequence).await? {
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
        && let Some(buried) = next(session, place, from).await?
    {
        from = buried.sequence + 1;
        if delete(session, place, buried.sequence).await? {
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The first one whose number is at least `from`.
async fn next(session: &Session, place: &Place, from: u64) -> Result<Option<Buried>, String> {
    let stream = place.dead_stream();
    let found = stored::next(session, &stream, &place.dead_letters(), from).await?;
    Ok(found.map(|found| {
        let unnamed = || format!("{stream}:{}", found.sequence);
        let (message, notes) = headers::read(headers::lines(&found.headers), found.body, unnamed);
        Buried {
            sequence: found.sequence,
            since: humantime::parse_rfc3339_weak(&found.time).ok(),
            message,
            notes,
        }
    }))
}

/// To where only this consumer sees it, as if it were new.
async fn put_back(session: &Session, place: &Place, buried: &Buried) -> Result<(), String> {
    let mut headers = headers::of(&buried.message)?;
    let notes = Notes {
        subject: buried.notes.subject.clone(),
        attempt: Some(1),
        ..Notes::default()
    };
    notes.add_to(&mut headers);
    // It is never the same message for the server, however often it is replayed.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    let id = format!("replay {} {now}", buried.sequence);
    for (name, value) in [(DEDUPLICATED, id), (EXPECTED_STREAM, place.retry_stream())] {
        if let Ok(value) = value.parse::<HeaderValue>() {
            headers.insert(name, value);
        }
    }
    let body = buried.message.body.clone();
    let store = publish::store(session, place.replayed().into(), headers, body);
    match tokio::time::timeout(LIMIT, store).await {
        Ok(stored) => stored.map(drop).map_err(|refusal| refusal.why().to_owned()),
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
