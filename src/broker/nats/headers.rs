//! A message's headers as NATS carries them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::header::HeaderName;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;

use crate::broker::Message;

/// By which the server knows a message that is published again.
pub(super) const DEDUPLICATED: &str = "Nats-Msg-Id";
/// The stream that must take it, and no other.
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";

const CONTENT_TYPE: &str = "content-type";
const ID: &str = "outrigger-message-id";
/// Of copies that wait or are dead letters: where the message was published.
const SUBJECT: &str = "outrigger-subject";
/// Of copies that wait: which attempt comes next, and not before when, in milliseconds since 1970.
const ATTEMPT: &str = "outrigger-attempt";
const NOT_BEFORE: &str = "outrigger-not-before";
/// Of dead letters: why, and after how many attempts.
const REASON: &str = "outrigger-reason";
const ATTEMPTS: &str = "outrigger-attempts";

/// What the server and we ourselves take orders from: no publisher may set it.
const RESERVED: [&str; 2] = ["nats-", "outrigger-"];

/// What is noted of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    pub subject: Option<String>,
    pub attempt: Option<u32>,
    pub not_before: Option<SystemTime>,
    pub reason: Option<String>,
    pub attempts: Option<u32>,
}

/// The headers of a message.
///
/// # Errors
/// What NATS cannot carry, in a sentence.
pub(super) fn of(message: &Message) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let id = value(ID, &message.id)?;
    headers.insert(HeaderName::from_static(ID), id);
    if let Some(content_type) = &message.content_type {
        let content_type = value(CONTENT_TYPE, content_type)?;
        headers.insert(HeaderName::from_static(CONTENT_TYPE), content_type);
    }
    for (name, text) in &message.headers {
        if is_reserved(name) {
            return Err(format!("the header `{name}` is not for publishers to set"));
        }
        // The library takes a name of no length.
        let known = Some(name).filter(|name| !name.is_empty());
        let known: Option<HeaderName> = known.and_then(|name| name.parse().ok());
        let known = known.ok_or_else(|| format!("`{name}` is no name for a header"))?;
        headers.append(known, value(name, text)?);
    }
    Ok(headers)
}

fn value(name: &str, text: &str) -> Result<HeaderValue, String> {
    let bad = || format!("the header `{name}` has a control character in it");
    if text.contains(|c: char| c.is_control() && c != '\t') {
        return Err(bad());
    }
    text.parse().map_err(|_| bad())
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|prefix| name.starts_with(prefix))
}

impl Notes {
    /// Adds them to the headers of a copy.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        let not_before = self.not_before.map(|time| {
            let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
            since.as_millis().to_string()
        });
        for (name, value) in [
            (SUBJECT, self.subject.clone()),
            (ATTEMPT, self.attempt.map(|number| number.to_string())),
            (NOT_BEFORE, not_before),
            (REASON, self.reason.clone()),
            (ATTEMPTS, self.attempts.map(|number| number.to_string())),
        ] {
            let value = value.and_then(|value| value.parse::<HeaderValue>().ok());
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            SUBJECT => self.subject = Some(value.to_owned()),
            ATTEMPT => self.attempt = value.parse().ok(),
            NOT_BEFORE => {
                let since = value.parse().ok().map(Duration::from_millis);
                self.not_before = since.and_then(|since| UNIX_EPOCH.checked_add(since));
            }
            REASON => self.reason = Some(value.to_owned()),
            ATTEMPTS => self.attempts = value.parse().ok(),
            _ => {}
        }
    }
}

/// Headers in the form in which the server keeps them: `NATS/1.0`, and a line each.
pub(super) fn lines(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split("\r\n").skip(1);
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Whether the library can read these headers when it gets them. It ends the connection where it cannot, or panics.
pub(super) fn can_be_received(bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut lines = text.lines();
    let is_version = lines
        .next()
        .is_some_and(|line| line.starts_with("NATS/1.0"));
    let mut before = false;
    is_version
        && lines.filter(|line| !line.is_empty()).all(|line| {
            // A line that begins with a blank goes on with the one before.
            let goes_on = before && line.starts_with(char::is_whitespace);
            before = true;
            let name = line.split_once(':').map(|(name, _)| name);
            let is_named = name.is_some_and(|name| name.parse::<HeaderName>().is_ok());
            (goes_on || is_named) && !line.contains('\r')
        })
}

/// Headers as the library has read them.
pub(super) fn pairs(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let headers = headers.into_iter().flat_map(HeaderMap::iter);
    headers
        .flat_map(|(name, values)| {
            let values = values.iter();
            values.map(|value| (name.to_string(), value.to_string()))
        })
        .collect()
}

/// The message that was published with these headers, and what was noted of it. `unnamed` is its id where nobody gave it
/// one.
pub(super) fn read(
    headers: Vec<(String, String)>,
    body: Bytes,
    unnamed: impl FnOnce() -> String,
) -> (Message, Notes) {
    let mut notes = Notes::default();
    let (mut id, mut msg_id, mut content_type) = (None, None, None);
    let mut kept = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name == ID {
            id = Some(value);
        } else if name.eq_ignore_ascii_case(DEDUPLICATED) {
            msg_id = Some(value);
        } else if name == CONTENT_TYPE {
            content_type = Some(value);
        } else if is_reserved(&name) {
            notes.take(&name, &value);
        } else {
            kept.push((name, value));
        }
    }
    // They come in no order.
    kept.sort();
    let of_event = || kept.iter().find(|(name, _)| name == "ce-id");
    let id = id
        .or(msg_id)
        .or_else(|| of_event().map(|(_, id)| id.clone()));
    let message = Message {
        id: id.unwrap_or_else(unnamed),
        content_type,
        headers: kept,
        body,
    };
    (message, notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(headers: &[(&str, &str)]) -> Message {
        Message {
            id: "1".to_owned(),
            content_type: Some("text/plain".to_owned()),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Bytes::from_static(b"hello"),
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was_with_what_is_noted_of_it() {
        let sent = message(&[("ce-id", "7"), ("x-a", "b"), ("x-a", "c")]);
        let mut headers = of(&sent).unwrap();
        let notes = Notes {
            subject: Some("orders.new".to_owned()),
            attempt: Some(2),
            not_before: Some(UNIX_EPOCH + Duration::from_millis(1234)),
            ..Notes::default()
        };
        notes.add_to(&mut headers);
        headers.insert(DEDUPLICATED, "orders.new 1");
        let read = read(pairs(Some(&headers)), sent.body.clone(), String::new);
        assert_eq!(read, (sent, notes));
    }

    #[test]
    fn no_publisher_gives_orders_to_the_server_or_to_us() {
        for name in [
            "nats-rollup",
            "nats-msg-id",
            "outrigger-attempt",
            "a b",
            "a:b",
            "",
        ] {
            assert!(of(&message(&[(name, "x")])).is_err(), "{name}");
        }
        assert!(of(&message(&[("x-a", "b\r\nNats-Rollup: all")])).is_err());
    }

    #[test]
    fn what_would_end_the_connection_is_known() {
        for good in [
            "",
            "NATS/1.0\r\n\r\n",
            "NATS/1.0\r\nA: b\r\n  c\r\nD:\r\n\r\n",
        ] {
            assert!(can_be_received(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "HTTP/1.1\r\n\r\n",
            "NATS/1.0\r\nA b: c\r\n\r\n",
            "NATS/1.0\r\nA\r\n\r\n",
            "NATS/1.0\r\nA: b\rc\r\n\r\n",
        ] {
            assert!(!can_be_received(bad.as_bytes()), "{bad:?}");
        }
        assert!(!can_be_received(b"NATS/1.0\r\nA: \xff\r\n\r\n"));
    }

    #[test]
    fn a_message_of_somebody_else_has_the_id_that_it_was_given() {
        let id = |lines: &str| {
            let bytes = format!("NATS/1.0\r\n{lines}\r\n");
            read(super::lines(bytes.as_bytes()), Bytes::new(), || {
                "none".to_owned()
            })
            .0
            .id
        };
        assert_eq!(id("Nats-Msg-Id: a\r\nce-id: b\r\n"), "a");
        assert_eq!(id("CE-Id: b\r\n"), "b");
        assert_eq!(id(""), "none");
    }
}
