//! A row that waits to be published.

use std::sync::Arc;

use bytes::Bytes;

use super::Identifier;

/// A row, as far as it matters to its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// As text.
    pub id: String,
    /// Rows with the same one are published in their order. None: this row has an order with no other.
    pub key: Option<String>,
    pub payload: Payload,
    /// How often its publishing has failed, as far as the table notes that.
    pub attempts: u32,
    /// Which columns [`Row::value`] knows.
    pub names: Arc<[Identifier]>,
    /// Their values as text; None is null.
    pub values: Vec<Option<String>>,
}

/// What the message has for a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Bytes(Bytes),
    /// Of a type of the database for JSON.
    Json(Bytes),
    /// It was not read: it has so many bytes.
    TooLarge(u64),
    Null,
}

/// A column that is null in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsNull<'a>(pub &'a Identifier);

impl Row {
    /// The value of a column; None where it is null.
    pub fn value(&self, name: &Identifier) -> Option<&str> {
        let place = self.names.iter().position(|known| known == name)?;
        self.values.get(place)?.as_deref()
    }
}
