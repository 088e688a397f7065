//! A message as a record of Kafka.
//!
//! Its id is a header, and the attributes of a CloudEvent are named as the Kafka binding of CloudEvents names them: `ce_id`
//! where HTTP has `ce-id`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use krafka::{ConsumerRecord, Record};

use crate::broker::Message;

const CONTENT_TYPE: &str = "content-type";
const ID: &str = "outrigger-message-id";
/// Of copies: the group that they are for.
const GROUP: &str = "outrigger-group";
/// Of copies that wait: which attempt comes next, and not before when, in milliseconds since 1970.
const ATTEMPT: &str = "outrigger-attempt";
const NOT_BEFORE: &str = "outrigger-not-before";
/// Of copies of what may have been delivered before: "true".
const AGAIN: &str = "outrigger-redelivered";
/// Of dead letters: why, after how many attempts, since when, and where the message was taken from.
const REASON: &str = "outrigger-reason";
const ATTEMPTS: &str = "outrigger-attempts";
const SINCE: &str = "outrigger-dead-since";
const ORIGIN: &str = "outrigger-origin";

/// What we ourselves take orders from: no publisher may set it.
const RESERVED: &str = "outrigger-";

/// The attributes of a CloudEvent, in HTTP and in Kafka.
const ATTRIBUTES: (&str, &str) = ("ce-", "ce_");

/// What is noted of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub group: Option<String>,
    pub attempt: Option<u32>,
    pub not_before: Option<SystemTime>,
    /// The message may have been delivered before, and there may be another copy of it.
    pub again: bool,
    pub reason: Option<String>,
    pub attempts: Option<u32>,
    pub since: Option<SystemTime>,
    pub origin: Option<String>,
}

/// The record of a message that is published.
///
/// # Errors
/// What is not for publishers, in a sentence.
pub(super) fn of(topic: &str, key: Option<String>, message: Message) -> Result<Record, String> {
    let mut record = Record::new(topic, message.body).header(ID, message.id);
    if let Some(key) = key {
        record = record.key(key);
    }
    if let Some(content_type) = message.content_type {
        record = record.header(CONTENT_TYPE, content_type);
    }
    for (name, value) in message.headers {
        if name.starts_with(RESERVED) {
            return Err(format!("the header `{name}` is not for publishers to set"));
        }
        record = record.header(renamed(&name, ATTRIBUTES.0, ATTRIBUTES.1), value);
    }
    Ok(record)
}

/// The message of a record. One that another client has published has the id of its CloudEvent, or that of its place, so
/// that it has the same one whenever it comes.
pub(super) fn message(record: &ConsumerRecord) -> Message {
    let id = record.header_str(ID).or(record.header_str("ce_id"));
    let id = id.map_or_else(|| place(record), str::to_owned);
    let headers = record.headers.iter().filter_map(|(name, value)| {
        let name = name.to_ascii_lowercase();
        let is_ours = name == CONTENT_TYPE || name.starts_with(RESERVED);
        let value = value.as_ref().filter(|_| !is_ours)?;
        let value = String::from_utf8_lossy(value).into_owned();
        Some((renamed(&name, ATTRIBUTES.1, ATTRIBUTES.0), value))
    });
    Message {
        id,
        content_type: record.header_str(CONTENT_TYPE).map(str::to_owned),
        headers: headers.collect(),
        body: record.value.clone().unwrap_or_default(),
    }
}

/// The key of a record, as text.
pub(super) fn key(record: &ConsumerRecord) -> Option<String> {
    let key = record.key.as_ref()?;
    Some(String::from_utf8_lossy(key).into_owned())
}

/// Where a record stands: `orders/2/1017`.
pub(super) fn place(record: &ConsumerRecord) -> String {
    format!("{}/{}/{}", record.topic, record.partition, record.offset)
}

/// A record with the same key, body and headers, its id among them, and with these notes in place of those that it has.
pub(super) fn copy(record: &ConsumerRecord, topic: &str, notes: &Notes) -> Record {
    let mut copy = Record::new(topic, Bytes::new());
    copy = match &record.value {
        Some(value) => copy.value(value.clone()),
        None => copy.without_value(),
    };
    if let Some(key) = &record.key {
        copy = copy.key(key.clone());
    }
    let id = record.header_str(ID).map(str::to_owned);
    copy = copy.header(ID, id.unwrap_or_else(|| message(record).id));
    for (name, value) in &record.headers {
        if name.starts_with(RESERVED) {
            continue;
        }
        copy = match value {
            Some(value) => copy.header(name.clone(), value.clone()),
            None => copy.null_header(name.clone()),
        };
    }
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    for (name, value) in [
        (GROUP, notes.group.clone()),
        (ATTEMPT, number(notes.attempt)),
        (NOT_BEFORE, notes.not_before.map(millis)),
        (AGAIN, notes.again.then(|| "true".to_owned())),
        (REASON, notes.reason.clone()),
        (ATTEMPTS, number(notes.attempts)),
        (SINCE, notes.since.map(millis)),
        (ORIGIN, notes.origin.clone()),
    ] {
        if let Some(value) = value {
            copy = copy.header(name, value);
        }
    }
    copy
}

/// What is noted of a record that is a copy.
pub(super) fn notes(record: &ConsumerRecord) -> Notes {
    let text = |name| record.header_str(name).map(str::to_owned);
    let number = |name| record.header_str(name)?.parse().ok();
    let time = |name| {
        let millis = record.header_str(name)?.parse().ok()?;
        UNIX_EPOCH.checked_add(Duration::from_millis(millis))
    };
    Notes {
        group: text(GROUP),
        attempt: number(ATTEMPT),
        not_before: time(NOT_BEFORE),
        again: record.header_str(AGAIN) == Some("true"),
        reason: text(REASON),
        attempts: number(ATTEMPTS),
        since: time(SINCE),
        origin: text(ORIGIN),
    }
}

fn millis(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().to_string()
}

fn renamed(name: &str, from: &str, to: &str) -> String {
    match name.strip_prefix(from) {
        Some(attribute) => format!("{to}{attribute}"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
