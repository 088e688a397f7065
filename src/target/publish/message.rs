//! What of a request goes into its message.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cloud_event::CloudEventConfig;
use crate::broker::{self, Message};
use crate::http::body::Body;
use crate::http::error::{Error, Reason};
use crate::http::message::Request;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::{FieldName, HeaderTemplate};

/// A body that is larger than the route takes.
const BODY_TOO_LARGE: Reason = Reason::new("body_too_large", 413);
/// A request of which no message can be made.
pub(super) const MESSAGE_UNFIT: Reason = Reason::new("message_unfit", 400);

/// The longest id: AMQP 0-9-1 has no longer short strings.
const LONGEST_ID: usize = 255;
/// The most events in one batch.
const MOST_IN_BATCH: usize = 1000;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static EVENT_ID: HeaderName = HeaderName::from_static("ce-id");
/// Whoever follows a trace follows it through the broker (W3C Trace Context).
const TRACE: [&str; 2] = ["traceparent", "tracestate"];

/// Reports names that no message may have from a config.
pub(super) fn check_headers(
    headers: &BTreeMap<FieldName, HeaderTemplate>,
    known: &[&str],
    problems: &mut Problems,
) {
    for (name, value) in headers {
        let place = ["headers", name.as_str()];
        value.check(&place, problems);
        captures::check(known, &place, value.captures(), value.as_str(), problems);
        let lower = name.name().as_str();
        if broker::is_reserved(lower) {
            problems
                .error(
                    &place,
                    format!(
                        "`{}` means something to brokers or to this proxy",
                        name.as_str()
                    ),
                )
                .help(match lower {
                    "content-type" => "the message has the content type of the request",
                    _ => "give it another name",
                });
        }
    }
}

/// The whole body of a request, if it is not larger than `most` bytes.
pub(super) async fn read(request: &mut Request, most: usize) -> Result<Bytes, Error> {
    let too_large = || {
        Error::new(
            BODY_TOO_LARGE,
            format!(
                "the body is larger than the {most} bytes that a message of this route may have"
            ),
        )
    };
    let mut body = std::mem::replace(&mut request.body, Body::empty());
    if let Some(whole) = body.take_full() {
        return if whole.len() > most {
            Err(too_large())
        } else {
            Ok(whole)
        };
    }
    if body.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(_) => too_large(),
        }),
    }
}

/// Whether the body is a list of events (CloudEvents 1.0, JSON batch format).
pub(super) fn is_batch(request: &Request) -> bool {
    is(request, BATCH)
}

fn is(request: &Request, kind: &str) -> bool {
    let value = request.headers.get_str(&header::CONTENT_TYPE);
    value.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(kind)
    })
}

/// The message that a request is.
pub(super) fn of(
    request: &Request,
    body: Bytes,
    headers: &BTreeMap<FieldName, HeaderTemplate>,
) -> Result<Message, Error> {
    let id = match named_id(request)? {
        Some(id) => id,
        // The event itself knows its name, and passes as it is.
        None if is(request, STRUCTURED) => id_of_event(&body)?,
        // Whoever sends the request again sends the same message.
        None => request.context.request_id.unique(),
    };
    let content_type = request.headers.get_str(&header::CONTENT_TYPE);
    Ok(Message {
        id,
        content_type: content_type.map(str::to_owned),
        headers: headers_of(request, headers, true)?,
        body,
    })
}

/// The messages that a request with a list of events is: each in structured mode.
pub(super) fn batch(
    request: &Request,
    body: &Bytes,
    headers: &BTreeMap<FieldName, HeaderTemplate>,
) -> Result<Vec<Message>, Error> {
    let events: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| unfit(format!("the body is no list of events in JSON: {error}")))?;
    if events.len() > MOST_IN_BATCH {
        return Err(unfit(format!(
            "a batch of {} events is larger than {MOST_IN_BATCH}",
            events.len()
        )));
    }
    let headers = headers_of(request, headers, false)?;
    let message = |(place, event): (usize, &&RawValue)| {
        let event = Bytes::copy_from_slice(event.get().as_bytes());
        let id = id_of_event(&event);
        let id = id.map_err(|error| unfit(format!("event {place}: {}", error.detail())))?;
        Ok(Message {
            id,
            content_type: Some(STRUCTURED.to_owned()),
            headers: headers.clone(),
            body: event,
        })
    };
    events.iter().enumerate().map(message).collect()
}

/// Whether the request is an event itself, in either mode.
pub(super) fn is_event(request: &Request) -> bool {
    is(request, STRUCTURED) || request.headers.contains(&EVENT_ID)
}

/// Makes a message the data of an event.
pub(super) fn wrap(message: &mut Message, event: &CloudEventConfig, request: &Request) {
    let content_type = message.content_type.as_deref();
    message.body = event.around(request, &message.id, content_type, &message.body);
    message.content_type = Some(STRUCTURED.to_owned());
}

/// The id that the caller gives.
fn named_id(request: &Request) -> Result<Option<String>, Error> {
    for name in [&IDEMPOTENCY_KEY, &EVENT_ID] {
        if let Some(value) = request.headers.get(name) {
            let text = std::str::from_utf8(value).unwrap_or_default().trim();
            // A string of structured fields stands in quotes (RFC 9651, section 3.3.3).
            let bare = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'));
            return checked_id(bare.unwrap_or(text))
                .map(Some)
                .map_err(|why| unfit(format!("`{name}` {why}")));
        }
    }
    Ok(None)
}

fn id_of_event(event: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Event {
        id: String,
    }
    let Event { id } = serde_json::from_slice(event)
        .map_err(|error| unfit(format!("the body is no event in JSON: {error}")))?;
    checked_id(&id).map_err(|why| unfit(format!("the event's `id` {why}")))
}

fn checked_id(id: &str) -> Result<String, String> {
    if id.is_empty() || id.chars().any(char::is_control) {
        return Err("is empty, or has control characters in it".to_owned());
    }
    if id.len() > LONGEST_ID {
        return Err(format!("is longer than {LONGEST_ID} bytes"));
    }
    Ok(id.to_owned())
}

/// What the message has for headers: the event's attributes where it is in binary mode, the trace, and what the config
/// names. Nothing else that the caller sent.
fn headers_of(
    request: &Request,
    configured: &BTreeMap<FieldName, HeaderTemplate>,
    binary: bool,
) -> Result<Vec<(String, String)>, Error> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in request.headers.iter() {
        let is_attribute = name
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"ce-"));
        let is_trace = TRACE
            .iter()
            .any(|trace| name.eq_ignore_ascii_case(trace.as_bytes()));
        if binary && is_attribute || is_trace {
            let Ok(name) = std::str::from_utf8(name).map(str::to_ascii_lowercase) else {
                continue;
            };
            let value = text(&name, value)?;
            headers.push((name, value));
        }
    }
    for (name, template) in configured {
        let name = name.name().as_str();
        let value = template.render(request);
        headers.retain(|(other, _)| other != name);
        if !value.is_empty() {
            headers.push((name.to_owned(), text(name, value.as_bytes())?));
        }
    }
    Ok(headers)
}

/// Brokers have text in their headers. What is none is refused rather than left out.
fn text(name: &str, value: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(value);
    let text = text.map_err(|_| unfit(format!("`{name}` is not text in UTF-8")))?;
    Ok(text.to_owned())
}

/// The failure of a call: its caller would take any answer for a broken one, and call again.
pub(super) fn of_grpc() -> Error {
    unfit("a call of gRPC is no message".to_owned())
}

fn unfit(detail: String) -> Error {
    Error::new(MESSAGE_UNFIT, detail)
}
