//! `cloud_event`: what is published becomes an event (CloudEvents 1.0, JSON format).

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::http::message::Request;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// `{ type = "order.made", source = "shop" }`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CloudEventConfig {
    /// What has happened.
    pub r#type: HeaderTemplate,
    /// Where it has happened.
    pub source: HeaderTemplate,
    /// To what it has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<HeaderTemplate>,
}

/// An event, in the order in which people read it.
#[derive(Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<&'a str>,
    #[serde(flatten)]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
enum Data<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    #[serde(rename = "data")]
    Text(&'a str),
    #[serde(rename = "data_base64")]
    Bytes(String),
}

impl CloudEventConfig {
    /// `known` are the names that the route's path gives to its parts.
    pub(super) fn check(&self, known: &[&str], problems: &mut Problems) {
        let subject = self.subject.as_ref().map(|subject| ("subject", subject));
        let all = [("type", &self.r#type), ("source", &self.source)];
        for (key, value) in all.into_iter().chain(subject) {
            value.check(&[key], problems);
            captures::check(known, &[key], value.captures(), value.as_str(), problems);
            if value.as_str().is_empty() {
                problems.error(&[key], "an event has none that is empty");
            }
        }
    }

    /// The event whose data is `body`: JSON as it stands, other text as a string, anything else in base64.
    pub(super) fn around(
        &self,
        request: &Request,
        id: &str,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Bytes {
        let event = Event {
            specversion: "1.0",
            id,
            source: text(&self.source.render(request)),
            r#type: text(&self.r#type.render(request)),
            subject: self
                .subject
                .as_ref()
                .map(|subject| text(&subject.render(request))),
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            datacontenttype: content_type,
            data: data(content_type, body),
        };
        // Fails only for a map with keys that are not text, which this has not.
        serde_json::to_vec(&event).unwrap_or_default().into()
    }
}

fn data<'a>(content_type: Option<&str>, body: &'a [u8]) -> Option<Data<'a>> {
    if body.is_empty() {
        return None;
    }
    if content_type.is_none_or(is_json)
        && let Ok(json) = serde_json::from_slice::<&RawValue>(body)
    {
        return Some(Data::Json(json));
    }
    let is_text = content_type.is_some_and(|kind| kind.starts_with("text/"));
    match std::str::from_utf8(body) {
        Ok(text) if is_text => Some(Data::Text(text)),
        _ => Some(Data::Bytes(BASE64_STANDARD.encode(body))),
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
