//! Rows of a result as JSON, and as text.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};

use super::column::Column;
use super::packet::Fields;
use crate::database::json;
use crate::database::{Failure, Output, Table};

/// The columns of a result.
#[derive(Debug, Default)]
pub(super) struct Columns(Vec<Named>);

#[derive(Debug)]
struct Named {
    column: Column,
    /// What stands before its value: a comma, the name as JSON has it, and a colon.
    key: Bytes,
}

impl Columns {
    pub fn push(&mut self, column: Column) {
        let mut key = BytesMut::new();
        key.extend_from_slice(if self.0.is_empty() { b"{" } else { b"," });
        json::string(column.name.as_bytes(), &mut key);
        key.extend_from_slice(b":");
        self.0.push(Named {
            column,
            key: key.freeze(),
        });
    }

    /// The first name that two columns have: an object has room for one of them.
    pub fn twice(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        let mut names = self.0.iter().map(|named| named.column.name.as_str());
        names.find(|name| !seen.insert(*name))
    }

    /// Writes a row, which `body` is.
    pub fn write(&self, body: &[u8], output: &mut Output) -> Result<(), Failure> {
        output.begin_row()?;
        let big = output.big_numbers;
        let (nulls, mut fields) = self.split(body).ok_or_else(nonsense)?;
        for (place, named) in self.0.iter().enumerate() {
            output.text.extend_from_slice(&named.key);
            if is_null(nulls, place) {
                json::null(&mut output.text);
                continue;
            }
            let written = named.column.write_json(&mut fields, big, &mut output.text);
            written.ok_or_else(nonsense)?;
        }
        output.text.extend_from_slice(b"}");
        output.end_row()
    }

    /// Adds a row, which `body` is.
    pub fn add(&self, body: &[u8], table: &mut Table) -> Result<(), Failure> {
        if table.columns.is_empty() {
            let names = self.0.iter().map(|named| named.column.name.clone());
            table.columns = names.collect();
        }
        let (nulls, mut fields) = self.split(body).ok_or_else(nonsense)?;
        let mut row = Vec::with_capacity(self.0.len());
        for (place, named) in self.0.iter().enumerate() {
            row.push(if is_null(nulls, place) {
                None
            } else {
                let text = named.column.read_text(&mut fields).ok_or_else(nonsense)?;
                Some(Bytes::from(text))
            });
        }
        table.rows.push(row);
        Ok(())
    }

    /// Which values are null, a bit each, the first two of which say nothing; and the values.
    fn split<'a>(&self, body: &'a [u8]) -> Option<(&'a [u8], Fields<'a>)> {
        let mut fields = Fields(body);
        fields.u8()?;
        let nulls = fields.take((self.0.len() + 2).div_ceil(8))?;
        Some((nulls, fields))
    }
}

fn is_null(nulls: &[u8], place: usize) -> bool {
    let bit = place + 2;
    nulls
        .get(bit / 8)
        .is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
}

fn nonsense() -> Failure {
    Failure::Broken("the database sent a row that cannot be read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::wire::flags;
    use super::*;
    use crate::database::{BigNumbers, Form, Limits};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_server_sends_breaks_nothing(
            kinds in prop::collection::vec(any::<u8>(), 1..8),
            marks in any::<u16>(),
            noise in prop::collection::vec(any::<u8>(), 0..64),
            row in prop::collection::vec(any::<u8>(), 0..128),
        ) {
            prop_assert!(Column::read(&noise, flags::METADATA).is_none_or(|one| one.name.len() <= 64 * 3));
            let mut columns = Columns::default();
            for kind in kinds {
                let mut body = b"\x03def\0\0\0\x01a\0\x0c\x2d\0\0\0\0\0".to_vec();
                body.push(kind);
                body.extend_from_slice(&marks.to_le_bytes());
                body.extend_from_slice(&[6, 0, 0]);
                columns.push(Column::read(&body, 0).unwrap());
            }
            let limits = Limits { rows: 9, bytes: 1 << 20 };
            let mut output = Output::whole(Form::One, limits, BigNumbers::String);
            if columns.write(&row, &mut output).is_ok() {
                let text = output.finish();
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok(), "{text:?}");
            }
            let _unreadable = columns.add(&row, &mut Table::default());
        }
    }
}
