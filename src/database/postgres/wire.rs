//! What goes to the server: messages of the protocol (PostgreSQL's documentation, "Message Formats").

use crate::database::{Type, Value};

use super::oid;

/// The version of the protocol that is spoken: 3.0.
const VERSION: i32 = 3 << 16;
const SSL_REQUEST: i32 = 80_877_103;
const CANCEL_REQUEST: i32 = 80_877_102;

/// The last message of a client.
pub(super) const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// Appends a message of this kind.
fn message(kind: u8, into: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    into.push(kind);
    sized(into, write);
}

/// Appends a length, which counts itself, and what it is of.
fn sized(into: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    write(into);
    let length = u32::try_from(into.len() - start).unwrap_or(u32::MAX);
    into[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Text and the NUL behind it. There is none in it: statements and values were looked at.
fn text(text: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(text.as_bytes());
    into.push(0);
}

fn count(number: usize, into: &mut Vec<u8>) {
    let number = u16::try_from(number).unwrap_or(u16::MAX);
    into.extend_from_slice(&number.to_be_bytes());
}

pub(super) fn startup<'a>(
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
    into: &mut Vec<u8>,
) {
    sized(into, |into| {
        into.extend_from_slice(&VERSION.to_be_bytes());
        for (name, value) in parameters {
            text(name, into);
            text(value, into);
        }
        into.push(0);
    });
}

pub(super) fn ssl_request(into: &mut Vec<u8>) {
    sized(into, |into| {
        into.extend_from_slice(&SSL_REQUEST.to_be_bytes())
    });
}

/// `key` is what the server told: the process and its secret.
pub(super) fn cancel_request(key: &[u8], into: &mut Vec<u8>) {
    sized(into, |into| {
        into.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
        into.extend_from_slice(key);
    });
}

/// An answer to a question for a password, SASL included.
pub(super) fn password(answer: &[u8], into: &mut Vec<u8>) {
    message(b'p', into, |into| into.extend_from_slice(answer));
}

pub(super) fn sasl_initial(mechanism: &str, first: &[u8], into: &mut Vec<u8>) {
    message(b'p', into, |into| {
        text(mechanism, into);
        let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
        into.extend_from_slice(&length.to_be_bytes());
        into.extend_from_slice(first);
    });
}

pub(super) fn query(statement: &str, into: &mut Vec<u8>) {
    message(b'Q', into, |into| text(statement, into));
}

pub(super) fn parse(name: &str, statement: &str, types: &[Type], into: &mut Vec<u8>) {
    message(b'P', into, |into| {
        text(name, into);
        text(statement, into);
        count(types.len(), into);
        for one in types {
            into.extend_from_slice(&oid::of(*one).to_be_bytes());
        }
    });
}

/// Binds the first `types.len()` of `values` to the portal without a name. All goes and comes as text.
pub(super) fn bind(name: &str, types: &[Type], values: &[Value], into: &mut Vec<u8>) {
    message(b'B', into, |into| {
        text("", into);
        text(name, into);
        count(0, into);
        count(types.len(), into);
        for place in 0..types.len() {
            match values.get(place) {
                None | Some(Value::Null) => into.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(value) => {
                    let start = into.len();
                    into.extend_from_slice(&[0; 4]);
                    value_text(value, into);
                    let length = u32::try_from(into.len() - start - 4).unwrap_or(u32::MAX);
                    into[start..start + 4].copy_from_slice(&length.to_be_bytes());
                }
            }
        }
        count(0, into);
    });
}

fn value_text(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Null => into.extend_from_slice(b"NULL"),
        Value::Text(text) => into.extend_from_slice(text.as_bytes()),
        Value::Bytes(bytes) => hex(bytes, into),
        Value::List(members) => {
            into.push(b'{');
            for (place, member) in members.iter().enumerate() {
                if place > 0 {
                    into.push(b',');
                }
                match member {
                    Value::Text(text) => quoted(text.as_bytes(), into),
                    Value::Bytes(bytes) => {
                        let mut text = Vec::new();
                        hex(bytes, &mut text);
                        quoted(&text, into);
                    }
                    other => value_text(other, into),
                }
            }
            into.push(b'}');
        }
    }
}

/// A member of a list (PostgreSQL's documentation, section 8.15.6).
fn quoted(text: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            into.push(b'\\');
        }
        into.push(*byte);
    }
    into.push(b'"');
}

fn hex(bytes: &[u8], into: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    into.extend_from_slice(b"\\x");
    for byte in bytes {
        into.push(DIGITS[usize::from(byte >> 4)]);
        into.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Asks for the columns of the portal without a name.
pub(super) fn describe_portal(into: &mut Vec<u8>) {
    message(b'D', into, |into| into.extend_from_slice(b"P\0"));
}

/// Runs the portal without a name to its end.
pub(super) fn execute(into: &mut Vec<u8>) {
    message(b'E', into, |into| into.extend_from_slice(&[0; 5]));
}

pub(super) fn close_statement(name: &str, into: &mut Vec<u8>) {
    message(b'C', into, |into| {
        into.push(b'S');
        text(name, into);
    });
}

pub(super) fn sync(into: &mut Vec<u8>) {
    message(b'S', into, |_| {});
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_their_length_and_values_are_text() {
        let mut into = Vec::new();
        query("x", &mut into);
        assert_eq!(into, b"Q\0\0\0\x06x\0");
        into.clear();
        let list = Value::List(vec![
            Value::Text("a\"b\\,{}".to_owned()),
            Value::Null,
            Value::Bytes(vec![0xab]),
        ]);
        value_text(&list, &mut into);
        assert_eq!(into, br#"{"a\"b\\,{}",NULL,"\\xab"}"#);
        into.clear();
        let types = [Type::TEXT; 2];
        bind(
            "s",
            &types,
            &[Value::Null, Value::Text("é".to_owned())],
            &mut into,
        );
        assert_eq!(
            into,
            b"B\0\0\0\x17\0s\0\0\0\0\x02\xff\xff\xff\xff\0\0\0\x02\xc3\xa9\0\0"
        );
    }
}
