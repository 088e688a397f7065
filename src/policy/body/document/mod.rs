//! From bytes to a JSON document and back, such that nothing is lost, and nothing is read in two ways.

use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

mod draft;
mod lone;
mod scan;
mod tape;
#[cfg(test)]
mod tests;
mod text;

pub use draft::{Draft, Fields as DraftFields};
use lone::Lone;
pub use tape::{Fields, Items, Kind, Node, Tape};

/// Whether there is no document at all: nothing, or nothing but blanks.
pub fn is_empty(bytes: &[u8]) -> bool {
    without_mark(bytes).trim_ascii().is_empty()
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// A document that is judged or changed, and written again.
pub struct Document<'a> {
    tape: Tape<'a>,
    lone: Lone,
}

impl<'a> Document<'a> {
    /// Like [`read`], but nothing is copied, and surrogate escapes that stand alone are kept.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn scan(bytes: &'a [u8]) -> Result<Self, String> {
        let text = without_mark(bytes);
        if memmem::find(text, NUMBER.as_bytes()).is_none()
            && let Ok(text) = std::str::from_utf8(text)
            && let Some(tape) = scan::scan(text.into())
        {
            let lone = Lone::None;
            return Ok(Document { tape, lone });
        }
        let wrong = match read(bytes) {
            Ok(_) => return Err("it has more than 1 GiB".to_owned()),
            Err(wrong) => wrong,
        };
        let stood_in = std::str::from_utf8(bytes).ok().map(lone::stand_in);
        let Some(text) = stood_in.transpose()?.flatten() else {
            return Err(wrong);
        };
        // What is wrong with it otherwise.
        read(text.as_bytes())?;
        let text = without_mark(text.as_bytes());
        let text = String::from_utf8_lossy(text).into_owned();
        match scan::scan(text.into()) {
            Some(tape) => Ok(Document {
                tape,
                lone: Lone::StoodInFor,
            }),
            None => Err(wrong),
        }
    }

    pub fn root(&self) -> Node<'_> {
        self.tape.root()
    }

    /// The text of what was made of this document.
    ///
    /// # Errors
    /// When it would be longer than `limit` bytes.
    pub fn write(&self, changed: &Draft<'_>, limit: usize) -> Result<Vec<u8>, TooLarge> {
        let written = changed.write(limit)?;
        Ok(match self.lone {
            Lone::None => written,
            Lone::StoodInFor => lone::put_back(written),
        })
    }
}

/// Reads a document. Numbers keep all the digits with which they came (an exponent is written as `e+2`), and keys
/// their order.
///
/// A byte order mark in front is passed over (RFC 8259, section 8.1, lets a reader do so). Nesting is limited to 128.
///
/// # Errors
/// A sentence for the caller: what is wrong, line and column. An object with two values under one key is refused, as
/// two readers would take different ones.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let bytes = without_mark(bytes);
    if is_empty(bytes) {
        return Err("it is empty".to_owned());
    }
    // So that `visit_borrowed_str` sees this name only where the parser itself hands out a number.
    if memmem::find(bytes, NUMBER.as_bytes()).is_some() {
        return Err(format!("it uses the reserved key `{NUMBER}`"));
    }
    // Once for all of it: the parser would do so for every piece of text.
    let text = std::str::from_utf8(bytes).map_err(|why| format!("it is not UTF-8: {why}"))?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let document = Strict.deserialize(&mut parser);
    let whole = document.and_then(|document| parser.end().map(|()| document));
    whole.map_err(|why| why.to_string())
}

/// A document would be larger than it may be.
#[derive(Debug)]
pub struct TooLarge;

/// Bytes in memory, up to a limit.
pub struct Limited {
    pub bytes: Vec<u8>,
    pub limit: usize,
}

impl std::io::Write for Limited {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + piece.len() > self.limit {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The key under which `serde_json` hands out a number as text (its feature `arbitrary_precision`).
const NUMBER: &str = "$serde_json::private::Number";

/// Reads any value, and refuses a key that stands twice.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            let name = match key {
                Name::Number => {
                    let digits: String = entries.next_value()?;
                    return digits.parse().map(Value::Number).map_err(A::Error::custom);
                }
                Name::Field(name) => name,
            };
            match fields.entry(name) {
                Entry::Vacant(free) => free.insert(entries.next_value_seed(Strict)?),
                Entry::Occupied(taken) => {
                    let shown: String = taken.key().chars().take(80).collect();
                    return Err(A::Error::custom(format!("the key {shown:?} stands twice")));
                }
            };
        }
        Ok(Value::Object(fields))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("no finite number"))?;
        Ok(Value::Number(number))
    }
}

enum Name {
    /// Of a number, which the parser disguises as an object of one key.
    Number,
    Field(String),
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name, E> {
        Ok(match name {
            NUMBER => Name::Number,
            name => Name::Field(name.to_owned()),
        })
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        match name {
            NUMBER => Err(E::custom(format!("the key `{NUMBER}` is reserved"))),
            name => Ok(Name::Field(name.to_owned())),
        }
    }
}
