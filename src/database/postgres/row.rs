//! A row of a result as JSON.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};

use super::array;
use super::oid::{self, Look};
use crate::database::json;
use crate::database::{BigNumbers, Failure, Output};

/// The columns of a result.
#[derive(Debug)]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug)]
struct Column {
    name: String,
    /// What stands before its value: a comma, the name as JSON has it, and a colon.
    key: Bytes,
    look: Look,
}

impl Columns {
    /// Reads a description of rows. None where it is none.
    pub fn read(body: &RowDescriptionBody) -> Option<Self> {
        let mut fields = body.fields();
        let mut columns: Vec<Column> = Vec::new();
        while let Some(field) = fields.next().ok()? {
            let mut key = BytesMut::new();
            key.extend_from_slice(if columns.is_empty() { b"{" } else { b"," });
            json::string(field.name().as_bytes(), &mut key);
            key.extend_from_slice(b":");
            columns.push(Column {
                name: field.name().to_owned(),
                key: key.freeze(),
                look: oid::look(field.type_oid()),
            });
        }
        Some(Columns(columns))
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

    /// Writes a row, which `body` is.
    pub fn write(&self, body: &DataRowBody, output: &mut Output) -> Result<(), Failure> {
        let nonsense = || Failure::Broken("the database sent a row that cannot be read".to_owned());
        output.begin_row()?;
        let mut ranges = body.ranges();
        let big = output.big_numbers;
        if self.0.is_empty() {
            output.text.extend_from_slice(b"{");
        }
        for column in &self.0 {
            output.text.extend_from_slice(&column.key);
            match ranges.next() {
                Ok(Some(None)) => json::null(&mut output.text),
                Ok(Some(Some(range))) => {
                    value(column.look, &body.buffer()[range], big, &mut output.text);
                }
                _ => return Err(nonsense()),
            }
        }
        if !matches!(ranges.next(), Ok(None)) {
            return Err(nonsense());
        }
        output.text.extend_from_slice(b"}");
        output.end_row()
    }
}

/// The values of a row as they came.
pub(super) fn values(body: &DataRowBody) -> Option<Vec<Option<Bytes>>> {
    let copy = |range: Range<usize>| Bytes::copy_from_slice(&body.buffer()[range]);
    let values = body.ranges().map(|range| Ok(range.map(copy)));
    values.collect().ok()
}

fn value(look: Look, text: &[u8], big: BigNumbers, into: &mut BytesMut) {
    match look {
        Look::Bool if text == b"t" => into.extend_from_slice(b"true"),
        Look::Bool if text == b"f" => into.extend_from_slice(b"false"),
        Look::Integer => json::integer(text, big, into),
        Look::Float => json::float(text, into),
        Look::Decimal => json::decimal(text, big, into),
        Look::Document => json::document(text, into),
        Look::Bytes => json::bytes(&unescape(text), into),
        Look::Timestamp => json::timestamp(text, into),
        Look::List(member) => {
            let from = into.len();
            let write = |text: &[u8], into: &mut BytesMut| value(member.look(), text, big, into);
            if !array::write(text, into, write) {
                into.truncate(from);
                json::string(text, into);
            }
        }
        Look::Bool | Look::Text => json::string(text, into),
    }
}

/// The bytes of a `bytea`, in either of its forms (PostgreSQL's documentation, section 8.4).
fn unescape(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    let byte = |digits: u32| u8::try_from(digits & 255).unwrap_or(0);
    if let Some(digits) = text.strip_prefix(b"\\x") {
        let pairs = digits.chunks_exact(2);
        return pairs
            .map(|pair| byte(digit(pair[0]) << 4 | digit(pair[1])))
            .collect();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(one) = text.get(at) {
        match (one, text.get(at + 1), text.get(at + 1..at + 4)) {
            (b'\\', Some(b'\\'), _) => {
                bytes.push(b'\\');
                at += 2;
            }
            (b'\\', _, Some(octal)) => {
                let number = octal.iter().fold(0, |sum, one| sum << 3 | digit(*one));
                bytes.push(byte(number));
                at += 4;
            }
            _ => {
                bytes.push(*one);
                at += 1;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_in_either_form() {
        assert_eq!(unescape(b"\\x00ff5C"), [0, 255, 92]);
        assert_eq!(unescape(b"a\\\\b\\000\\377"), [b'a', b'\\', b'b', 0, 255]);
        assert_eq!(unescape(b""), b"");
        assert_eq!(unescape(b"\\"), b"\\");
    }
}
