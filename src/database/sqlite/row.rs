//! A row of a result as JSON.
//!
//! A value is what it is kept as, and not what its column is declared as: SQLite keeps any kind in any column. A declaration tells
//! whether an integer is meant as a boolean, and a text as a document or a time.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;

use crate::database::json;
use crate::database::{BigNumbers, Failure, Output};

/// The columns of a result.
pub(super) struct Columns(Vec<Column>);

struct Column {
    name: String,
    /// What stands before its value: a comma, the name as JSON has it, and a colon.
    key: Bytes,
    look: Look,
}

/// What a declaration says beyond how a value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Bool,
    Document,
    Timestamp,
}

impl Columns {
    pub fn of(prepared: &rusqlite::Statement<'_>) -> Self {
        let columns = prepared.columns().enumerate();
        let columns = columns.map(|(place, column)| {
            let mut key = BytesMut::new();
            key.extend_from_slice(if place == 0 { b"{" } else { b"," });
            json::string(column.name().as_bytes(), &mut key);
            key.extend_from_slice(b":");
            Column {
                name: column.name().to_owned(),
                key: key.freeze(),
                look: look(column.decl_type().unwrap_or_default()),
            }
        });
        Columns(columns.collect())
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|column| column.name.clone()).collect()
    }

    /// The first name that two columns have: an object has room for one of them.
    pub fn twice(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        let mut names = self.0.iter().map(|column| column.name.as_str());
        names.find(|name| !seen.insert(*name))
    }

    /// Writes a row.
    pub fn write(&self, row: &Row<'_>, output: &mut Output) -> Result<(), Failure> {
        output.begin_row()?;
        let big = output.big_numbers;
        for (place, column) in self.0.iter().enumerate() {
            let found = row.get_ref(place).map_err(|_| {
                Failure::Broken("the database gave a row that cannot be read".to_owned())
            })?;
            // A value that is too large is not written at all.
            if let ValueRef::Text(bytes) | ValueRef::Blob(bytes) = found
                && bytes.len() > output.room()
            {
                return Err(output.too_many_bytes());
            }
            output.text.extend_from_slice(&column.key);
            value(column.look, found, big, &mut output.text);
        }
        output.text.extend_from_slice(b"}");
        output.end_row()
    }
}

fn look(declared: &str) -> Look {
    let word = declared
        .split(|c: char| !c.is_ascii_alphanumeric())
        .next()
        .unwrap_or_default();
    match word.to_ascii_uppercase().as_str() {
        "BOOL" | "BOOLEAN" => Look::Bool,
        "JSON" | "JSONB" => Look::Document,
        "DATETIME" | "TIMESTAMP" | "TIMESTAMPTZ" => Look::Timestamp,
        _ => Look::Plain,
    }
}

fn value(look: Look, value: ValueRef<'_>, big: BigNumbers, into: &mut BytesMut) {
    match value {
        ValueRef::Null => json::null(into),
        ValueRef::Integer(0) if look == Look::Bool => into.extend_from_slice(b"false"),
        ValueRef::Integer(1) if look == Look::Bool => into.extend_from_slice(b"true"),
        ValueRef::Integer(integer) => json::integer(integer.to_string().as_bytes(), big, into),
        ValueRef::Real(real) => json::float(real_text(real).as_bytes(), into),
        ValueRef::Text(text) => match look {
            Look::Document if is_document(text) => json::document(text, into),
            Look::Timestamp => json::timestamp(text, into),
            _ => json::string(text, into),
        },
        ValueRef::Blob(bytes) => json::bytes(bytes, into),
    }
}

/// The fewest digits that are this number.
fn real_text(real: f64) -> String {
    if real.is_infinite() {
        let sign = if real < 0.0 { "-" } else { "" };
        return format!("{sign}Infinity");
    }
    format!("{real:?}")
}

fn is_document(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The values of a row as text; bytes as they are.
pub(super) fn values(row: &Row<'_>, count: usize) -> Vec<Option<Bytes>> {
    let text = |place| match row.get_ref(place) {
        Err(_) | Ok(ValueRef::Null) => None,
        Ok(ValueRef::Integer(integer)) => Some(Bytes::from(integer.to_string())),
        Ok(ValueRef::Real(real)) => Some(Bytes::from(real_text(real))),
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => Some(Bytes::copy_from_slice(bytes)),
    };
    (0..count).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_read_by_its_first_word() {
        for (declared, expected) in [
            ("boolean", Look::Bool),
            ("Bool not null", Look::Bool),
            ("JSON", Look::Document),
            ("timestamp with time zone", Look::Timestamp),
            ("DATETIME(6)", Look::Timestamp),
            ("DATE", Look::Plain),
            ("DECIMAL(10,2)", Look::Plain),
            ("", Look::Plain),
        ] {
            assert_eq!(look(declared), expected, "{declared}");
        }
    }
}
