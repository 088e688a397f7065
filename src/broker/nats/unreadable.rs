//! Messages whose headers the library cannot read: it ends the connection, and would again whenever one is given out. They
//! are found by asking for each message that was given out and is not settled, in a form that is always read.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

use super::api;
use super::headers::{self, DEDUPLICATED, EXPECTED_STREAM, Notes};
use super::publish;
use super::session::Session;
use super::stored;

/// So many messages are looked at: what one connection may have been given.
const MOST: usize = 2000;
/// The longest that moving one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Why they are dead letters.
const REASON: &str = "unreadable_headers";

/// A consumer, and where what it cannot read is moved: stream and subject.
pub(super) struct Given<'a> {
    pub stream: &'a str,
    pub consumer: &'a str,
    pub subject: Option<&'a str>,
    pub dead_letters: Option<(String, String)>,
}

/// Moves what cannot be read out of the way, without its headers.
///
/// # Errors
/// Why it is still there, in a sentence.
pub(super) async fn remove(session: &Session, given: &Given<'_>) -> Result<(), String> {
    let Given {
        stream, consumer, ..
    } = given;
    let info = format!("CONSUMER.INFO.{stream}.{consumer}");
    let Ok(info) = api::ask(session, &info, &Value::Null).await else {
        return Ok(());
    };
    if info["num_ack_pending"].as_u64().unwrap_or_default() == 0 {
        return Ok(());
    }
    let settled = info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default();
    let last = info["delivered"]["stream_seq"].as_u64().unwrap_or_default();
    let mut from = settled + 1;
    for _ in 0..MOST {
        let found = stored::next(session, stream, given.subject.unwrap_or(">"), from).await?;
        let Some(found) = found.filter(|found| found.sequence <= last) else {
            break;
        };
        from = found.sequence + 1;
        if !headers::can_be_received(&found.headers) {
            tracing::warn!(
                "message {} of the stream `{stream}` has unreadable headers",
                found.sequence
            );
            bury(session, given, found).await?;
        }
    }
    Ok(())
}

async fn bury(session: &Session, given: &Given<'_>, found: stored::Stored) -> Result<(), String> {
    let (stream, sequence) = (given.stream, found.sequence);
    let Some((dead_stream, dead_subject)) = &given.dead_letters else {
        return Err(format!(
            "message {sequence} of the stream `{stream}` has headers that cannot be read: it is to be deleted"
        ));
    };
    let (message, _) = headers::read(Vec::new(), found.body, || format!("{stream}:{sequence}"));
    let mut headers: HeaderMap = headers::of(&message)?;
    let notes = Notes {
        subject: Some(found.subject),
        reason: Some(REASON.to_owned()),
        attempts: Some(0),
        ..Notes::default()
    };
    notes.add_to(&mut headers);
    let id = format!("{} {sequence} {} unreadable", given.consumer, found.time);
    headers.insert(DEDUPLICATED, id.replace(['\r', '\n'], ""));
    headers.insert(EXPECTED_STREAM, dead_stream.replace(['\r', '\n'], ""));
    let store = publish::store(session, dead_subject.as_str().into(), headers, message.body);
    match tokio::time::timeout(LIMIT, store).await {
        Ok(Ok(_stored)) => {}
        Ok(Err(refusal)) => return Err(refusal.why().to_owned()),
        Err(_) => return Err("NATS does not answer".to_owned()),
    }
    // As the server names it: what counts is the number in the stream.
    let ack = format!("$JS.ACK.{stream}.{}.1.{sequence}.1.0.0", given.consumer);
    let ended = session.request(ack.into(), None, Bytes::from_static(b"+TERM"));
    match tokio::time::timeout(LIMIT, ended).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err("NATS does not answer".to_owned()),
    }
}
