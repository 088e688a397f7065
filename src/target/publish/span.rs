//! The span of a message that is published, by OpenTelemetry's semantic conventions. Whoever takes the message is below it.

use crate::broker::{Address, Confirmed, Destination, Message, Refusal};
use crate::http::message::Request;
use crate::trace::{Kind, Span};
use crate::value::template::HeaderTemplate;

/// The head by which the message says whose it is.
const PARENT: &str = "traceparent";

/// Begins one, if the request is recorded, and has `message` say so, unless the route keeps the trace to itself.
pub(super) fn begin(
    request: &Request,
    address: &Address<HeaderTemplate>,
    message: &mut Message,
) -> Option<Span> {
    if !request.context.trace.is_recorded() {
        return None;
    }
    let template = name(address);
    let mut span = request
        .context
        .trace
        .span(Kind::Producer, format!("send {template}"))?;
    span.text("messaging.operation.type", "send");
    span.text("messaging.operation.name", "send");
    span.text("messaging.message.id", &message.id);
    span.number("messaging.message.body.size", message.body.len() as u64);
    if template.contains("${") {
        span.text("messaging.destination.template", template);
    }
    let mut headers = message.headers.iter_mut();
    if let Some((_, value)) = headers.find(|(name, _)| name == PARENT) {
        *value = span.here().to_string();
    }
    Some(span)
}

/// It goes to this place.
pub(super) fn goes_to(span: &mut Span, to: &Destination) {
    span.text("messaging.system", to.kind().system());
    match to {
        Destination::Exchange {
            exchange,
            routing_key,
        } => {
            // The exchange without a name leads to the queue of that name.
            let name = if exchange.is_empty() {
                routing_key
            } else {
                exchange
            };
            span.text("messaging.destination.name", name);
            span.text("messaging.rabbitmq.destination.routing_key", routing_key);
        }
        Destination::Subject(subject) => span.text("messaging.destination.name", subject),
        Destination::Topic { topic, key } => {
            span.text("messaging.destination.name", topic);
            if let Some(key) = key {
                span.text("messaging.kafka.message.key", key);
            }
        }
    }
}

/// This is what became of it.
pub(super) fn end(span: &mut Span, result: &Result<Confirmed, Refusal>) {
    if let Err(refusal) = result {
        span.fails(refusal.name());
    }
}

/// What the config calls the place, so that spans have few names.
fn name(address: &Address<HeaderTemplate>) -> &str {
    match address {
        Address::Exchange {
            exchange: Some(name),
            ..
        } if !name.as_str().is_empty() => name.as_str(),
        Address::Exchange { routing_key, .. } => {
            routing_key.as_ref().map_or("", HeaderTemplate::as_str)
        }
        Address::Subject(subject) => subject.as_str(),
        Address::Topic { topic, .. } => topic.as_str(),
    }
}
