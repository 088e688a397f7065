//! What goes to the server: the messages of `postgres_protocol`, with all values as text.
//!
//! Each of them fails on a NUL within text, or where it is longer than a message can be. What it has written by then must not be sent.

use std::io;
use std::iter;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use super::oid;
use crate::database::{Isolation, Statement, Type, Value};

/// The command that begins a transaction.
pub(super) fn begin(isolation: Option<Isolation>) -> String {
    match isolation {
        None => "BEGIN".to_owned(),
        Some(isolation) => format!("BEGIN ISOLATION LEVEL {}", isolation.words()),
    }
}

pub(super) fn parse(name: &str, text: &str, types: &[Type], into: &mut BytesMut) -> io::Result<()> {
    let types = types.iter().map(|one| oid::of(*one));
    frontend::parse(name, text, types, into)
}

/// Binds the first of `values`, as many as the statement has types, to the portal without a name. All goes and comes as text.
pub(super) fn bind(
    name: &str,
    statement: &Statement,
    values: &[Value],
    into: &mut BytesMut,
) -> io::Result<()> {
    let values = (0..statement.types.len()).map(|place| values.get(place));
    bind_all(name, values, into)
}

/// Runs a command without parameters once, and forgets it.
pub(super) fn once(command: &str, into: &mut BytesMut) -> io::Result<()> {
    parse("", command, &[], into)?;
    bind_all("", iter::empty(), into)?;
    execute(into)
}

/// Asks for the columns of the portal without a name.
pub(super) fn describe_portal(into: &mut BytesMut) -> io::Result<()> {
    frontend::describe(b'P', "", into)
}

/// Asks for the parameters and the columns of a statement.
pub(super) fn describe_statement(name: &str, into: &mut BytesMut) -> io::Result<()> {
    frontend::describe(b'S', name, into)
}

/// Runs the portal without a name to its end.
pub(super) fn execute(into: &mut BytesMut) -> io::Result<()> {
    frontend::execute("", 0, into)
}

pub(super) fn close_statement(name: &str, into: &mut BytesMut) -> io::Result<()> {
    frontend::close(b'S', name, into)
}

fn bind_all<'v>(
    name: &str,
    values: impl Iterator<Item = Option<&'v Value>>,
    into: &mut BytesMut,
) -> io::Result<()> {
    let write = |value: Option<&Value>, into: &mut BytesMut| match value {
        None | Some(Value::Null) => Ok(IsNull::Yes),
        Some(value) => {
            value_text(value, into);
            Ok(IsNull::No)
        }
    };
    let bound = frontend::bind("", name, iter::empty(), values, write, iter::empty(), into);
    bound.map_err(|_| io::Error::other("the values are too long for a message"))
}

fn value_text(value: &Value, into: &mut BytesMut) {
    match value {
        Value::Null => into.put_slice(b"NULL"),
        Value::Text(text) => into.put_slice(text.as_bytes()),
        Value::Bytes(bytes) => hex(bytes, into),
        Value::List(members) => {
            into.put_u8(b'{');
            for (place, member) in members.iter().enumerate() {
                if place > 0 {
                    into.put_u8(b',');
                }
                match member {
                    Value::Text(text) => quoted(text.as_bytes(), into),
                    Value::Bytes(bytes) => {
                        let mut text = BytesMut::new();
                        hex(bytes, &mut text);
                        quoted(&text, into);
                    }
                    other => value_text(other, into),
                }
            }
            into.put_u8(b'}');
        }
    }
}

/// A member of a list (PostgreSQL's documentation, section 8.15.6).
fn quoted(text: &[u8], into: &mut BytesMut) {
    into.put_u8(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            into.put_u8(b'\\');
        }
        into.put_u8(*byte);
    }
    into.put_u8(b'"');
}

fn hex(bytes: &[u8], into: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.put_slice(b"\\x");
    for byte in bytes {
        into.put_u8(DIGITS[usize::from(byte >> 4)]);
        into.put_u8(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Kind;

    #[test]
    fn values_are_text() {
        let mut into = BytesMut::new();
        let list = Value::List(vec![
            Value::Text("a\"b\\,{}".to_owned()),
            Value::Null,
            Value::Bytes(vec![0xab]),
        ]);
        value_text(&list, &mut into);
        assert_eq!(into, br#"{"a\"b\\,{}",NULL,"\\xab"}"#[..]);
        into.clear();
        let statement = Statement::new("select $1, $2", &[Type::TEXT; 2], Kind::Postgres);
        let values = [Value::Null, Value::Text("é".to_owned())];
        bind("s", &statement, &values, &mut into).unwrap();
        assert_eq!(
            into,
            b"B\0\0\0\x17\0s\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\x02\xc3\xa9\0\0"[..]
        );
        assert!(once("select '\0'", &mut into).is_err());
    }
}
