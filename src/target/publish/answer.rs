//! What the caller is told of its message.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};

use super::message::MESSAGE_UNFIT;
use crate::broker::{Confirmed, Refusal};
use crate::http::body::Body;
use crate::http::error::{Error, METHOD_NOT_ALLOWED, Progress, Reason};
use crate::http::fault::Fault;
use crate::http::message::Response;

/// A message that leads to no queue, stream or topic.
const MESSAGE_UNROUTABLE: Reason = Reason::new("message_unroutable", 502);
/// A message that is larger than the broker takes.
const MESSAGE_TOO_LARGE: Reason = Reason::new("message_too_large", 413);
/// A queue or stream that takes no more, or not this.
const MESSAGE_REJECTED: Reason = Reason::new("message_rejected", 503);
/// A broker that takes no messages for now.
const BROKER_BLOCKED: Reason = Reason::new("broker_blocked", 503);
/// No connection to the broker.
const BROKER_UNAVAILABLE: Reason = Reason::new("broker_unavailable", 503).by(Fault::Connect);
/// It was sent, and whether it is stored is not known.
const CONFIRM_UNKNOWN: Reason = Reason::new("confirm_unknown", 504).by(Fault::Timeout);

/// By what a caller finds its message again.
static MESSAGE_ID: HeaderName = HeaderName::from_static("outrigger-message-id");

/// A message of a batch, and what became of it.
pub(super) struct Sent {
    pub id: String,
    pub result: Result<Confirmed, Refusal>,
}

/// The answer for a message that the broker has.
pub(super) fn confirmed(broker: &str, id: &str, confirmed: Confirmed) -> Response {
    let mut response = json(StatusCode::ACCEPTED, &Told::new(broker, id, confirmed));
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers.insert(&MESSAGE_ID, &id);
    }
    response
}

/// The failure of a request by a method that shall change nothing: a browser asks by OPTIONS before it posts.
pub(super) fn not_allowed(method: &Method) -> Error {
    let detail = format!("{method} changes nothing, so it publishes nothing");
    let error = Error::new(METHOD_NOT_ALLOWED, detail);
    error.with_header(header::ALLOW, HeaderValue::from_static("POST"))
}

/// The failure of a message that the broker is not known to have.
pub(super) fn refused(refusal: Refusal, id: &str) -> Error {
    let (reason, detail) = meaning(&refusal, id);
    let mut error = Error::new(reason, detail);
    if let Refusal::Unknown(_) = refusal {
        error = error.at(Progress::Sent);
    }
    match HeaderValue::from_str(id) {
        Ok(id) => error.with_header(MESSAGE_ID.clone(), id),
        Err(_) => error,
    }
}

/// The answer for a batch: 202 when all of it is confirmed, else 207 with what became of each.
pub(super) fn of_batch(broker: &str, sent: &[Sent]) -> Response {
    let all = sent.iter().all(|sent| sent.result.is_ok());
    let one = |sent: &Sent| match &sent.result {
        Ok(confirmed) => json!(Told::new(broker, &sent.id, *confirmed)),
        Err(refusal) => {
            let (reason, detail) = meaning(refusal, &sent.id);
            json!({
                "message_id": sent.id,
                "broker": broker,
                "confirmed": false,
                "status": reason.status,
                "reason": reason.name,
                "detail": detail,
            })
        }
    };
    let results: Vec<Value> = sent.iter().map(one).collect();
    let status = if all {
        StatusCode::ACCEPTED
    } else {
        StatusCode::MULTI_STATUS
    };
    json(status, &json!({ "confirmed": all, "results": results }))
}

/// What is told of a message that the broker has.
#[derive(Serialize)]
struct Told<'a> {
    message_id: &'a str,
    broker: &'a str,
    confirmed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

impl<'a> Told<'a> {
    fn new(broker: &'a str, id: &'a str, confirmed: Confirmed) -> Self {
        Told {
            message_id: id,
            broker,
            confirmed: true,
            duplicate: confirmed.duplicate,
        }
    }
}

fn meaning(refusal: &Refusal, id: &str) -> (Reason, String) {
    match refusal {
        Refusal::Unroutable(why) => (MESSAGE_UNROUTABLE, why.clone()),
        Refusal::Rejected(why) => (MESSAGE_REJECTED, why.clone()),
        Refusal::Unfit(why) => (MESSAGE_UNFIT, why.clone()),
        Refusal::TooLarge(why) => (MESSAGE_TOO_LARGE, why.clone()),
        Refusal::Blocked(why) => (BROKER_BLOCKED, why.clone()),
        Refusal::Unavailable(why) => (BROKER_UNAVAILABLE, why.clone()),
        Refusal::Unknown(why) => (
            CONFIRM_UNKNOWN,
            format!(
                "{why}: whether message `{id}` is stored is not known; to send it again under the same \
                 `Idempotency-Key` is safe for consumers that look at the id"
            ),
        ),
    }
}

/// How a result is called in metrics.
pub(super) fn label(result: &Result<Confirmed, Refusal>) -> &'static str {
    match result {
        Ok(Confirmed { duplicate: false }) => "confirmed",
        Ok(Confirmed { duplicate: true }) => "duplicate",
        Err(refusal) => refusal.name(),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    // Whoever reads it does so in a terminal.
    text.push(b'\n');
    let mut response = Response::new(status, Body::full(text));
    let kind = HeaderValue::from_static("application/json");
    response.headers.insert(&header::CONTENT_TYPE, &kind);
    response
}
