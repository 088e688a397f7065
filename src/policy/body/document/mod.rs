//! From bytes to a JSON document and back, such that nothing is lost, and nothing is read in two ways.

use std::fmt;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

mod lone;

pub use lone::Lone;

/// Whether there is no document at all: nothing, or nothing but blanks.
pub fn is_empty(bytes: &[u8]) -> bool {
    without_mark(bytes).trim_ascii().is_empty()
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// Like [`read`], for a document that is written again by [`write_any`]: surrogate escapes that stand alone are kept.
///
/// # Errors
/// Those of [`read`].
pub fn read_any(bytes: &[u8]) -> Result<(Value, Lone), String> {
    let wrong = match read(bytes) {
        Ok(document) => return Ok((document, Lone::None)),
        Err(wrong) => wrong,
    };
    let stood_in = std::str::from_utf8(bytes).ok().map(lone::stand_in);
    match stood_in.transpose()?.flatten() {
        Some(text) => Ok((read(text.as_bytes())?, Lone::StoodInFor)),
        None => Err(wrong),
    }
}

/// The text of a document that [`read_any`] has read.
///
/// # Errors
/// Those of [`write`].
pub fn write_any(document: &Value, lone: Lone, limit: usize) -> Result<Vec<u8>, TooLarge> {
    let written = write(document, limit)?;
    Ok(match lone {
        Lone::None => written,
        Lone::StoodInFor => lone::put_back(written),
    })
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

/// The text of a document.
///
/// # Errors
/// When it would be longer than `limit` bytes; no more than that is ever written.
pub fn write(document: &Value, limit: usize) -> Result<Vec<u8>, TooLarge> {
    let mut out = Limited {
        bytes: Vec::with_capacity(limit.min(1024)),
        limit,
    };
    match serde_json::to_writer(&mut out, document) {
        Ok(()) => Ok(out.bytes),
        Err(_) => Err(TooLarge),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(text: &str) -> Result<String, String> {
        let document = read(text.as_bytes())?;
        Ok(String::from_utf8(write(&document, 1 << 20).unwrap()).unwrap())
    }

    #[test]
    fn nothing_is_lost() {
        for text in [
            "12345678901234567890123456789012345678901234567890",
            "-0.10",
            "1e+400",
            "18446744073709551616",
            "9007199254740993",
            r#"{"z":1.10,"a":[null,true,"é\n"],"":{}}"#,
            r#"{"b":1,"a":2,"c":3}"#,
            "\"\"",
            "null",
        ] {
            assert_eq!(again(text).as_deref(), Ok(text));
        }
        assert_eq!(again("1E4").as_deref(), Ok("1e+4"));
        assert_eq!(again("\u{feff} [1 , 2]\n").as_deref(), Ok("[1,2]"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (text, part) in [
            ("", "empty"),
            (" \n", "empty"),
            ("\u{feff}", "empty"),
            (r#"{"a":1,"a":2}"#, r#"the key "a" stands twice"#),
            (r#"[{"b":{"a":1,"\u0061":2}}]"#, "stands twice"),
            ("[1] x", "trailing characters at line 1 column 5"),
            ("{} {}", "trailing characters"),
            ("{\"a\":}", "expected value"),
            ("[1,]", "trailing comma"),
            ("01", "invalid number"),
            ("NaN", "expected value"),
            ("[1", "EOF while parsing"),
            ("\"\\ud800\"", "hex escape"),
            (r#"{"$serde_json::private::Number":"1"}"#, "reserved"),
            (r#"{"\u0024serde_json::private::Number":"1"}"#, "reserved"),
        ] {
            let error = again(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(read(b"\"\xff\"").unwrap_err().contains("it is not UTF-8"));
        assert!(
            read(&b"[".repeat(100_000))
                .unwrap_err()
                .contains("recursion limit")
        );
    }

    #[test]
    fn surrogates_that_stand_alone_are_kept_where_they_can_be() {
        let text = r#"{"a":"\ud800","b":1.10}"#;
        let (document, lone) = read_any(text.as_bytes()).unwrap();
        assert_eq!(write_any(&document, lone, 100).unwrap(), text.as_bytes());
        let (_, none) = read_any(b"[1]").unwrap();
        assert_eq!(none, Lone::None);
        let wrong = read_any(br#"["\ud800",]"#).unwrap_err();
        assert!(wrong.contains("trailing comma"), "{wrong}");
    }

    #[test]
    fn no_more_is_written_than_may_be() {
        let document = read(b"[1,2,3]").unwrap();
        assert_eq!(write(&document, 7).unwrap(), b"[1,2,3]");
        assert!(write(&document, 6).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_alike(text in "[\\[\\]{}\",:0-9a-c.eE+\\- ]{0,24}") {
            if let Ok(once) = again(&text) {
                prop_assert_eq!(again(&once), Ok(once));
            }
        }
    }
}
