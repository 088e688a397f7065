//! A message as AMQP has it: its body, and its properties, of which its headers are one.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortShortUInt};

use super::super::{Message, Refusal};
use super::headers;
use super::names::short;

/// Stored on disk. Any other but 1 closes the channel.
const PERSISTENT: ShortShortUInt = 2;
/// By this header consumers know that a body is compressed; AMQP has a property of its own for it.
const CONTENT_ENCODING: &str = "content-encoding";

/// The properties of a message that is published. A user id is never among them: any but the user who is logged in
/// closes the channel.
///
/// # Errors
/// When it cannot be sent as it is.
pub(super) fn of(message: &Message) -> Result<BasicProperties, Refusal> {
    let short = |text: &str| short(text).map_err(Refusal::Unfit);
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(short(&message.id)?);
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(short(content_type)?);
    }
    let mut others = message.headers.clone();
    if let Some(place) = others.iter().position(|(name, _)| name == CONTENT_ENCODING) {
        let (_, encoding) = others.remove(place);
        properties = properties.with_content_encoding(short(&encoding)?);
    }
    Ok(properties.with_headers(headers::table(&others)?))
}

/// A message as it is given out.
pub(super) fn read(properties: &BasicProperties, body: Bytes) -> Message {
    let mut read = headers::read(properties.headers().as_ref());
    if let Some(encoding) = properties.content_encoding() {
        read.push((CONTENT_ENCODING.to_owned(), encoding.to_string()));
    }
    let mut message = Message {
        id: String::new(),
        content_type: properties.content_type().as_ref().map(ToString::to_string),
        headers: read,
        body,
    };
    message.id = match properties.message_id() {
        Some(id) => id.to_string(),
        None => message.header("ce-id").unwrap_or_default().to_owned(),
    };
    message
}

/// The properties of a copy, with `more` headers. It is stored on disk, does not expire, and gives the broker no orders.
pub(super) fn copied(
    properties: &BasicProperties,
    more: &[(&'static str, String)],
) -> BasicProperties {
    let mut table: FieldTable = headers::copied(properties.headers().as_ref());
    for (name, value) in more {
        let value = LongString::from(value.as_str());
        table.insert((*name).into(), AMQPValue::LongString(value));
    }
    let mut copy = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_headers(table);
    if let Some(value) = properties.message_id() {
        copy = copy.with_message_id(value.clone());
    }
    if let Some(value) = properties.content_type() {
        copy = copy.with_content_type(value.clone());
    }
    if let Some(value) = properties.content_encoding() {
        copy = copy.with_content_encoding(value.clone());
    }
    if let Some(value) = properties.correlation_id() {
        copy = copy.with_correlation_id(value.clone());
    }
    if let Some(value) = properties.reply_to() {
        copy = copy.with_reply_to(value.clone());
    }
    if let Some(value) = properties.timestamp() {
        copy = copy.with_timestamp(*value);
    }
    if let Some(value) = properties.kind() {
        copy = copy.with_type(value.clone());
    }
    if let Some(value) = properties.app_id() {
        copy = copy.with_app_id(value.clone());
    }
    if let Some(value) = properties.priority() {
        copy = copy.with_priority(*value);
    }
    copy
}

/// About how many bytes the properties take, which must fit in one frame: the broker ends the connection otherwise.
pub(super) fn size(properties: &BasicProperties) -> usize {
    fn of(value: &AMQPValue) -> usize {
        match value {
            AMQPValue::LongString(text) => text.len() + 5,
            AMQPValue::ByteArray(bytes) => bytes.len() + 5,
            AMQPValue::FieldArray(list) => 5 + list.as_slice().iter().map(of).sum::<usize>(),
            AMQPValue::FieldTable(table) => 5 + fields(table),
            _ => 16,
        }
    }
    fn fields(table: &FieldTable) -> usize {
        let sizes = table
            .into_iter()
            .map(|(name, value)| 1 + name.as_str().len() + of(value));
        sizes.sum()
    }
    // Every other property has at most 256 bytes.
    12 * 256 + properties.headers().as_ref().map_or(0, fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            id: "1".to_owned(),
            content_type: Some("text/plain".to_owned()),
            headers: vec![
                ("ce-type".to_owned(), "a".to_owned()),
                ("content-encoding".to_owned(), "gzip".to_owned()),
            ],
            body: Bytes::from_static(b"x"),
        }
    }

    #[test]
    fn a_message_comes_back_as_it_went() {
        let message = message();
        let properties = of(&message).unwrap();
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(read(&properties, message.body.clone()), message);
    }

    #[test]
    fn what_amqp_has_no_room_for_is_refused() {
        let mut long = message();
        long.id = "x".repeat(256);
        assert!(matches!(of(&long), Err(Refusal::Unfit(_))));
    }

    #[test]
    fn a_copy_neither_expires_nor_pretends_to_be_of_another_user() {
        let properties = of(&message())
            .unwrap()
            .with_user_id("me".into())
            .with_expiration("1".into())
            .with_correlation_id("c".into());
        let copy = copied(&properties, &[(headers::ATTEMPT, "2".to_owned())]);
        assert_eq!(*copy.user_id(), None);
        assert_eq!(*copy.expiration(), None);
        assert_eq!(copy.correlation_id(), properties.correlation_id());
        let attempt = headers::get(copy.headers().as_ref(), headers::ATTEMPT);
        assert_eq!(attempt.as_deref(), Some("2"));
        assert_eq!(read(&copy, Bytes::from_static(b"x")), message());
    }
}
