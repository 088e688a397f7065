//! The span of a message that is published, by OpenTelemetry's semantic conventions. Whoever takes the message is below it.

use super::{Address, Confirmed, Destination, Message, Refusal};
use crate::trace::{Span, key};

/// The head by which a message says whose it is.
pub const PARENT: &str = "traceparent";

/// The name of the span for messages that go to `address`; `text` is a value of the config as it is written there, so that
/// spans have few names.
pub fn name<'a, T>(address: &'a Address<T>, text: impl Fn(&'a T) -> &'a str) -> String {
    ["send ", place(address, text)].concat()
}

/// Says what is published, and by which part of the config.
pub fn describe<'a, T>(
    span: &mut Span,
    message: &Message,
    address: &'a Address<T>,
    text: impl Fn(&'a T) -> &'a str,
) {
    span.text(key!("messaging.operation.type"), "send");
    span.text(key!("messaging.operation.name"), "send");
    span.text(key!("messaging.message.id"), &message.id);
    span.number(
        key!("messaging.message.body.size"),
        message.body.len() as u64,
    );
    let template = place(address, text);
    if template.contains("${") {
        span.text(key!("messaging.destination.template"), template);
    }
}

/// It goes to this place.
pub fn goes_to(span: &mut Span, to: &Destination) {
    span.text(key!("messaging.system"), to.kind().system());
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
            span.text(key!("messaging.destination.name"), name);
            span.text(
                key!("messaging.rabbitmq.destination.routing_key"),
                routing_key,
            );
        }
        Destination::Subject(subject) => span.text(key!("messaging.destination.name"), subject),
        Destination::Topic { topic, key } => {
            span.text(key!("messaging.destination.name"), topic);
            if let Some(key) = key {
                span.text(key!("messaging.kafka.message.key"), key);
            }
        }
    }
}

/// This is what became of it.
pub fn end(span: &mut Span, result: &Result<Confirmed, Refusal>) {
    if let Err(refusal) = result {
        span.fails(refusal.name());
    }
}

fn place<'a, T>(address: &'a Address<T>, text: impl Fn(&'a T) -> &'a str) -> &'a str {
    match address {
        Address::Exchange {
            exchange: Some(name),
            ..
        } if !text(name).is_empty() => text(name),
        Address::Exchange { routing_key, .. } => routing_key.as_ref().map_or("", text),
        Address::Subject(subject) => text(subject),
        Address::Topic { topic, .. } => text(topic),
    }
}
