//! A message, whatever broker carries it.

use std::borrow::Cow;
use std::time::SystemTime;

use bytes::Bytes;
use serde::Deserialize;

/// A message. Its headers are named as HTTP names them, in lower case: each kind of broker has its own spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which consumers know a message that they have seen. At most 255 bytes.
    pub id: String,
    pub content_type: Option<String>,
    /// What the publisher chose to send along, the attributes of a CloudEvent in binary mode (`ce-id`) among it. Nothing
    /// that a broker itself takes orders from.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Message {
    /// The first header of that name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// Where the event that this is has happened, in either mode: ids are those of one source (CloudEvents 1.0, `id`).
    pub fn event_source(&self) -> Option<Cow<'_, str>> {
        #[derive(Deserialize)]
        struct Event<'a> {
            #[serde(borrow)]
            source: Cow<'a, str>,
        }
        if let Some(source) = self.header("ce-source") {
            return Some(source.into());
        }
        let content_type = self.content_type.as_deref()?;
        let is_event = content_type.starts_with("application/cloudevents+json");
        let event: Event<'_> = is_event.then(|| serde_json::from_slice(&self.body).ok())??;
        Some(event.source)
    }
}

/// A message that could not be delivered, as it stands among the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub message: Message,
    /// Why, in a word for labels: the status or the reason of its last attempt.
    pub reason: String,
    /// How often its delivery was tried.
    pub attempts: u32,
    /// When it was put there; None when nobody has noted that.
    pub since: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_where_it_has_happened_in_either_mode() {
        let message = |content_type: &str, headers: &[(&str, &str)], body: &'static str| Message {
            id: "1".to_owned(),
            content_type: Some(content_type.to_owned()),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let structured = "application/cloudevents+json; charset=utf-8";
        let body = "{\"id\":\"1\",\"source\":\"/sh\\u006fp\"}";
        for (message, expected) in [
            (
                message("text/plain", &[("ce-source", "/shop")], ""),
                Some("/shop"),
            ),
            (message(structured, &[], body), Some("/shop")),
            (message(structured, &[], "{}"), None),
            (message("application/json", &[], body), None),
        ] {
            assert_eq!(message.event_source().as_deref(), expected, "{message:?}");
        }
    }
}
