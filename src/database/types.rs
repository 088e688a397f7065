//! The types of parameters, and how a caller's text or JSON becomes a value of them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The type of a parameter: its name as SQL has it, `[]` behind it for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Type {
    pub scalar: Scalar,
    pub is_list: bool,
}

/// A type of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Bytea,
    Json,
    Jsonb,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Inet,
    /// What the database takes it for.
    Inferred,
}

use Scalar as S;

/// Each type, and its names: the first one is ours.
const NAMES: [(Scalar, &[&str]); 19] = [
    (S::Bool, &["bool", "boolean"]),
    (S::Int2, &["int2", "smallint"]),
    (S::Int4, &["int4", "int", "integer"]),
    (S::Int8, &["int8", "bigint"]),
    (S::Float4, &["float4", "real"]),
    (S::Float8, &["float8", "double", "double precision"]),
    (S::Numeric, &["numeric", "decimal"]),
    (S::Text, &["text", "varchar"]),
    (S::Bytea, &["bytea", "blob"]),
    (S::Json, &["json"]),
    (S::Jsonb, &["jsonb"]),
    (S::Uuid, &["uuid"]),
    (S::Date, &["date"]),
    (S::Time, &["time"]),
    (S::Timestamp, &["timestamp", "datetime"]),
    (S::Timestamptz, &["timestamptz"]),
    (S::Interval, &["interval"]),
    (S::Inet, &["inet"]),
    (S::Inferred, &["inferred"]),
];

/// A value to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    /// As the type has it in text. JSON is text as well.
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
}

impl Type {
    pub const TEXT: Type = Type {
        scalar: S::Text,
        is_list: false,
    };

    /// Whether the database says what it is.
    pub fn is_inferred(self) -> bool {
        self.scalar == S::Inferred
    }

    fn name(self) -> &'static str {
        let names = NAMES.iter().find(|(scalar, _)| *scalar == self.scalar);
        names.map_or("", |(_, names)| names[0])
    }

    /// The value that a text of a caller stands for. A list stands in JSON.
    ///
    /// # Errors
    /// What it is not, behind "is".
    pub fn of_text(self, text: &str) -> Result<Value, String> {
        if self.is_list {
            let json = serde_json::from_str(text).map_err(|_| "no list in JSON".to_owned())?;
            return self.of_json(&json);
        }
        if text.contains('\0') {
            return Err("text with a NUL in it".to_owned());
        }
        let fits = match self.scalar {
            S::Bool => matches!(text, "true" | "false" | "t" | "f" | "1" | "0"),
            S::Int2 => is_integer::<i16>(text),
            S::Int4 => is_integer::<i32>(text),
            S::Int8 => is_integer::<i64>(text),
            S::Float4 | S::Float8 => is_float(text),
            S::Numeric => is_numeric(text),
            S::Uuid => is_uuid(text),
            S::Json | S::Jsonb => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            S::Bytea => {
                let bytes = STANDARD.decode(text);
                return bytes.map(Value::Bytes).map_err(|_| "no base64".to_owned());
            }
            // The database knows better what is a date.
            _ => true,
        };
        if fits {
            Ok(Value::Text(text.to_owned()))
        } else {
            Err(format!("no {}", self.name()))
        }
    }

    /// The value that a part of a JSON document stands for. Numbers keep their digits.
    ///
    /// # Errors
    /// What it is not, behind "is".
    pub fn of_json(self, json: &Json) -> Result<Value, String> {
        match (self.is_list, json) {
            (_, Json::Null) => Ok(Value::Null),
            (true, Json::Array(members)) => {
                let member = Type {
                    is_list: false,
                    ..self
                };
                let members = members.iter().map(|one| member.of_json(one));
                Ok(Value::List(members.collect::<Result<_, _>>()?))
            }
            (true, _) => Err("no list".to_owned()),
            (false, json) if matches!(self.scalar, S::Json | S::Jsonb) => {
                let text = json.to_string();
                if text.contains("\\u0000") && self.scalar == S::Jsonb {
                    return Err("JSON with a NUL in it".to_owned());
                }
                Ok(Value::Text(text))
            }
            (false, Json::String(text)) => self.of_text(text),
            (false, Json::Number(number)) => self.of_text(&number.to_string()),
            (false, Json::Bool(it)) => self.of_text(if *it { "true" } else { "false" }),
            (false, Json::Array(_)) => Err("a list".to_owned()),
            (false, Json::Object(_)) => Err("an object".to_owned()),
        }
    }
}

fn is_integer<T: FromStr>(text: &str) -> bool {
    text.parse::<T>().is_ok()
}

fn is_float(text: &str) -> bool {
    let word = text.trim_start_matches(['+', '-']);
    let begins = word.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    (begins || ["NaN", "Infinity"].contains(&word)) && text.parse::<f64>().is_ok()
}

/// Digits, with a point and an exponent where there is one.
fn is_numeric(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    if ["NaN", "Infinity"].contains(&bare) {
        return true;
    }
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bare, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !part.is_empty();
    has_digits
        && digits(whole)
        && digits(part)
        && exponent.is_none_or(|text| text.len() < 6 && is_integer::<i32>(text))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        f.write_str(if self.is_list { "[]" } else { "" })
    }
}

impl From<Type> for String {
    fn from(of: Type) -> String {
        of.to_string()
    }
}

impl FromStr for Type {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let (name, is_list) = match lower.strip_suffix("[]") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let known = NAMES.iter().find(|(_, names)| names.contains(&name));
        match known {
            Some((scalar, _)) => Ok(Type {
                scalar: *scalar,
                is_list,
            }),
            None => {
                let names: Vec<&str> = NAMES.iter().map(|(_, names)| names[0]).collect();
                Err(format!(
                    "`{text}` is no type that is known here: there are {}; `inferred` leaves it to the database",
                    names.join(", ")
                ))
            }
        }
    }
}

impl TryFrom<String> for Type {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(name: &str) -> Type {
        name.parse().unwrap()
    }

    #[test]
    fn a_text_is_a_value_of_its_type_or_refused() {
        for (name, good, bad) in [
            (
                "int2",
                &["1", "-32768", "+7"][..],
                &["32768", "", " 1", "1.0", "0x1", "1e2"][..],
            ),
            (
                "int8",
                &["9223372036854775807"],
                &["9223372036854775808", "1;", "one"],
            ),
            ("bool", &["true", "false", "0"], &["yes", "TRUE", "2"]),
            (
                "float8",
                &["1", "1.5e3", "-.5", "NaN", "-Infinity"],
                &["inf", "nan", "1,5", "e"],
            ),
            (
                "numeric",
                &["1", "0.10", "12345678901234567890.5", "1e5", "NaN"],
                &[".", "1e", "1e999999", "0x1", "--1"],
            ),
            (
                "uuid",
                &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
                &["a0eebc99", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
            ),
            ("json", &["{\"a\":1}", "\"x\"", "1"], &["x", "{", "1 2"]),
            ("text", &["", "'; drop table x; --"], &["\0"]),
            ("timestamptz", &["yesterday"], &["a\0"]),
        ] {
            for text in good {
                let value = of(name).of_text(text);
                assert_eq!(value, Ok(Value::Text((*text).to_owned())), "{name}");
            }
            for text in bad {
                assert!(of(name).of_text(text).is_err(), "{name} {text:?}");
            }
        }
        assert_eq!(of("bytea").of_text("AAE="), Ok(Value::Bytes(vec![0, 1])));
        assert!(of("bytea").of_text("?").is_err());
    }

    #[test]
    fn a_part_of_a_document_is_a_value_with_all_its_digits() {
        let text = |text: &str| Ok(Value::Text(text.to_owned()));
        let big: Json = serde_json::from_str("12345678901234567890.10").unwrap();
        assert_eq!(of("numeric").of_json(&big), text("12345678901234567890.10"));
        assert!(of("int8").of_json(&big).is_err());
        assert_eq!(of("int8").of_json(&json!("7")), text("7"));
        assert_eq!(of("text").of_json(&json!(7)), text("7"));
        assert_eq!(
            of("json").of_json(&json!({"a": "x"})),
            text("{\"a\":\"x\"}")
        );
        assert_eq!(of("json").of_json(&json!("x")), text("\"x\""));
        assert_eq!(of("int4").of_json(&Json::Null), Ok(Value::Null));
        assert!(of("text").of_json(&json!({})).is_err());
        let list = of("int4[]").of_json(&json!([1, null]));
        assert_eq!(
            list,
            Ok(Value::List(vec![Value::Text("1".to_owned()), Value::Null]))
        );
        assert!(of("int4[]").of_json(&json!([[1]])).is_err());
        assert!(of("int4[]").of_text("[1,2").is_err());
        assert!(of("int4[]").of_text("[1,2]").is_ok());
    }

    #[test]
    fn types_have_the_names_of_sql() {
        assert_eq!(of("BigInt").to_string(), "int8");
        assert_eq!(of("text[]").to_string(), "text[]");
        assert!("integr".parse::<Type>().unwrap_err().contains("int4"));
    }
}
