//! From a row to a message.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderName;
use serde_json::{Map, Value};

use super::row::{IsNull, Payload, Row};
use super::template::RowTemplate;
use super::{Config, Identifier};
use crate::broker::{self, Address, Destination, Message, Refusal};
use crate::value::FieldName;

/// What a row of JSON has for a content type that says nothing else.
const JSON: &str = "application/json";

/// How the rows of a relay become messages.
pub(super) struct Messages {
    relay: std::sync::Arc<str>,
    address: Address<RowTemplate>,
    payload: Identifier,
    of_headers: Option<Identifier>,
    of_content_type: Option<Identifier>,
    content_type: Option<RowTemplate>,
    headers: BTreeMap<FieldName, RowTemplate>,
    max_body: u64,
}

impl Messages {
    /// None where the block does not say where messages go, which a check reports.
    pub fn new(relay: std::sync::Arc<str>, config: &Config) -> Option<Self> {
        let publish = &config.publish;
        Some(Messages {
            relay,
            address: publish.keys().address()?,
            payload: config.columns.payload.clone(),
            of_headers: config.columns.headers.clone(),
            of_content_type: config.columns.content_type.clone(),
            content_type: publish.content_type.clone(),
            headers: publish.headers.clone(),
            max_body: publish.max_body.0,
        })
    }

    /// Where messages go, as the config has it.
    pub fn address(&self) -> &Address<RowTemplate> {
        &self.address
    }

    /// The message of a row, and where it goes.
    ///
    /// # Errors
    /// Why the row cannot be one.
    pub fn of(&self, row: &Row) -> Result<(Destination, Message), Refusal> {
        let unfit = |null: IsNull<'_>, what: &str| {
            Refusal::Unfit(format!(
                "the column `{}` is null, and `{what}` needs it",
                null.0
            ))
        };
        let fill = |template: &RowTemplate, key: &'static str| {
            template.fill(row).map_err(|null| unfit(null, key))
        };
        let to = self.address.fill(fill)?;
        let (body, is_json) = self.body(row)?;
        let own = self.of_content_type.as_ref();
        let content_type = match own.and_then(|column| row.value(column)) {
            Some(own) => Some(own.to_owned()),
            None => match &self.content_type {
                Some(template) => Some(fill(template, "content_type")?),
                None => is_json.then(|| JSON.to_owned()),
            },
        };
        let message = Message {
            id: format!("{}:{}", self.relay, row.id),
            content_type,
            headers: self.headers(row)?,
            body,
        };
        Ok((to, message))
    }

    fn body(&self, row: &Row) -> Result<(Bytes, bool), Refusal> {
        let too_large = |size: u64| {
            Refusal::Unfit(format!(
                "the payload has {size} bytes, and this relay takes {}",
                self.max_body
            ))
        };
        match &row.payload {
            Payload::Bytes(bytes) | Payload::Json(bytes) if bytes.len() as u64 > self.max_body => {
                Err(too_large(bytes.len() as u64))
            }
            Payload::Bytes(bytes) => Ok((bytes.clone(), false)),
            Payload::Json(bytes) => Ok((bytes.clone(), true)),
            Payload::TooLarge(size) => Err(too_large(*size)),
            Payload::Null => Err(Refusal::Unfit(format!(
                "the column `{}` is null",
                self.payload
            ))),
        }
    }

    /// The headers of the row, and those of the config, which come first where both have one.
    fn headers(&self, row: &Row) -> Result<Vec<(String, String)>, Refusal> {
        let mut headers = Vec::new();
        for (name, template) in &self.headers {
            // What is null is left out.
            if let Ok(value) = template.fill(row) {
                headers.push((name.name().as_str().to_owned(), value));
            }
        }
        let column = self.of_headers.as_ref();
        let Some((column, text)) = column.and_then(|column| Some((column, row.value(column)?)))
        else {
            return Ok(headers);
        };
        let unfit = |what: String| Refusal::Unfit(format!("the column `{column}` {what}"));
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| unfit("is no JSON object".to_owned()))?;
        for (written, value) in object {
            let name = HeaderName::from_bytes(written.as_bytes()).map_err(|_| {
                unfit(format!(
                    "has `{}`, which is no name of a header",
                    written.escape_debug()
                ))
            })?;
            let name = name.as_str();
            if broker::is_reserved(name) {
                return Err(unfit(format!(
                    "has `{name}`, which means something to brokers or to this proxy"
                )));
            }
            let value = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(unfit(format!("has `{name}`, whose value is no text")));
                }
            };
            if !headers.iter().any(|(other, _)| other == name) {
                headers.push((name.to_owned(), value));
            }
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::fake::{config, row_with};

    fn messages(toml: &str) -> Messages {
        Messages::new("orders".into(), &config(toml)).unwrap()
    }

    #[test]
    fn a_row_becomes_a_message() {
        let messages = messages(
            "columns = { headers = \"meta\", content_type = \"type\" }\n\
             publish.exchange = \"orders\"\npublish.routing_key = \"order.${row.kind}\"\n\
             publish.headers = { x-tenant = \"${row.tenant}\", x-none = \"${row.none}\" }\n",
        );
        let meta =
            "{ \"Trace\": \"t\", \"n\": 5, \"b\": true, \"x-tenant\": \"forged\", \"no\": null }";
        let mut row = row_with(
            "7",
            &[
                ("kind", Some("made")),
                ("tenant", Some("acme")),
                ("none", None),
                ("type", None),
                ("meta", Some(meta)),
            ],
        );
        let (to, message) = messages.of(&row).unwrap();
        let expected = Destination::Exchange {
            exchange: "orders".to_owned(),
            routing_key: "order.made".to_owned(),
        };
        assert_eq!(to, expected);
        assert_eq!(message.id, "orders:7");
        assert_eq!(message.content_type, None);
        let header = |name| message.header(name);
        assert_eq!(header("x-tenant"), Some("acme"), "the config's comes first");
        assert_eq!((header("trace"), header("n")), (Some("t"), Some("5")));
        assert_eq!((header("b"), header("no")), (Some("true"), None));
        assert_eq!(header("x-none"), None);
        row.payload = Payload::Json(Bytes::from_static(b"{}"));
        let (_, message) = messages.of(&row).unwrap();
        assert_eq!(message.content_type.as_deref(), Some(JSON));
    }

    #[test]
    fn what_cannot_be_a_message_says_why() {
        let messages = messages(
            "columns = { headers = \"meta\" }\n\
             publish.subject = \"order.${row.kind}\"\npublish.max_body = \"8B\"\n",
        );
        let with = |kind, meta| row_with("7", &[("kind", kind), ("meta", meta)]);
        let refused = |row: Row| match messages.of(&row) {
            Err(Refusal::Unfit(why)) => why,
            other => panic!("{other:?}"),
        };
        for (row, why) in [
            (
                with(None, None),
                "the column `kind` is null, and `subject` needs it",
            ),
            (
                with(Some("a"), Some("[]")),
                "the column `meta` is no JSON object",
            ),
            (
                with(Some("a"), Some("{\"a b\":1}")),
                "has `a b`, which is no name",
            ),
            (
                with(Some("a"), Some("{\"Nats-Msg-Id\":\"1\"}")),
                "means something",
            ),
            (
                with(Some("a"), Some("{\"a\":[1]}")),
                "whose value is no text",
            ),
        ] {
            let told = refused(Row {
                payload: Payload::Bytes(Bytes::new()),
                ..row
            });
            assert!(told.contains(why), "{told}");
        }
        let of = |payload| Row {
            payload,
            ..with(Some("a"), None)
        };
        assert!(refused(of(Payload::Null)).contains("`payload` is null"));
        assert!(refused(of(Payload::TooLarge(9))).contains("has 9 bytes"));
        assert!(
            refused(of(Payload::Bytes(Bytes::from_static(b"123456789")))).contains("has 9 bytes")
        );
        assert!(
            messages
                .of(&of(Payload::Bytes(Bytes::from_static(b"12345678"))))
                .is_ok()
        );
    }
}
