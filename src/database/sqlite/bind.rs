//! Values bound to the placeholders of a statement.
//!
//! SQLite has five kinds of values, and the type in the config says which one a text becomes. What cannot be kept as it is, as
//! `NaN`, which SQLite would take for null, or more digits than a number has, is refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::{ToSqlOutput, Value as Bound, ValueRef};
use serde_json::{Number, Value as Json};

use super::error::{Trouble, judge};
use super::moment::{has_offset, is_date, is_time, is_timestamp};
use super::query::Stop;
use crate::database::{Failure, Scalar, Statement, Type, Value};

/// So many digits a number with a point or an exponent keeps, whatever they are.
const KEPT_DIGITS: usize = 15;

/// Binds what each placeholder stands for.
pub(super) fn bind(
    prepared: &mut rusqlite::Statement<'_>,
    statement: &Statement,
    values: &[Value],
) -> Result<(), Stop> {
    for place in 1..=prepared.parameter_count() {
        // `$2` and `?2` have a name; one by one, as `?`, they have none, nor has a gap between numbers.
        let number = match prepared.parameter_name(place) {
            Some(name) => name.get(1..).and_then(|digits| digits.parse().ok()),
            None => Some(place),
        };
        let number = number.and_then(|number: usize| number.checked_sub(1));
        let found = number
            .and_then(|number| Some((number, statement.types.get(number)?, values.get(number)?)));
        let Some((number, of, value)) = found else {
            return Err(Stop::Ours(Failure::refused("SQLITE_RANGE")));
        };
        let bound =
            bound(*of, value).map_err(|what| Stop::Ours(Failure::BadValue(Some(number), what)))?;
        let result = prepared.raw_bind_parameter(place, bound);
        result.map_err(|error| match judge(&error) {
            Trouble {
                failure: Failure::TooLarge(_),
                ..
            } => Stop::Ours(Failure::BadValue(
                Some(number),
                "it is too large".to_owned(),
            )),
            trouble => Stop::Sqlite(trouble),
        })?;
    }
    Ok(())
}

fn bound(of: Type, value: &Value) -> Result<ToSqlOutput<'_>, String> {
    Ok(match value {
        Value::Null => ToSqlOutput::Owned(Bound::Null),
        Value::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        Value::Text(text) => match scalar(of.scalar, text)? {
            Some(bound) => ToSqlOutput::Owned(bound),
            None => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        },
        // There are no lists: `json_each` makes rows of one.
        Value::List(members) => {
            let members: Result<Vec<Json>, String> =
                members.iter().map(|one| member(of.scalar, one)).collect();
            ToSqlOutput::Owned(Bound::Text(Json::Array(members?).to_string()))
        }
    })
}

/// What a text of this type is bound as; None for the text itself.
fn scalar(of: Scalar, text: &str) -> Result<Option<Bound>, String> {
    let real = || {
        let real: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
        if real.is_nan() {
            return Err("SQLite has no NaN".to_owned());
        }
        Ok(Some(Bound::Real(real)))
    };
    let checked = |is_it: bool, what: &str| {
        if is_it {
            Ok(None)
        } else {
            Err(format!("it is no {what}"))
        }
    };
    match of {
        Scalar::Bool => Ok(Some(Bound::Integer(i64::from(matches!(
            text,
            "true" | "t" | "1"
        ))))),
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 => match text.parse() {
            Ok(integer) => Ok(Some(Bound::Integer(integer))),
            Err(_) => Err("it is no integer".to_owned()),
        },
        Scalar::Float4 | Scalar::Float8 => real(),
        Scalar::Numeric => match text.parse() {
            Ok(integer) => Ok(Some(Bound::Integer(integer))),
            Err(_) if digits(text) > KEPT_DIGITS => Err(format!(
                "it has more than the {KEPT_DIGITS} digits that SQLite keeps of such a number"
            )),
            Err(_) => match real()? {
                Some(Bound::Real(real)) if real.is_infinite() && digits(text) > 0 => {
                    Err("it is larger than a number of SQLite".to_owned())
                }
                bound => Ok(bound),
            },
        },
        Scalar::Date => checked(is_date(text), "date, like 2026-01-31"),
        Scalar::Time => checked(is_time(text), "time, like 12:30:00"),
        Scalar::Timestamp => checked(is_timestamp(text), "time, like 2026-01-31T12:30:00"),
        Scalar::Timestamptz => checked(has_offset(text), "time, like 2026-01-31T12:30:00Z"),
        Scalar::Text
        | Scalar::Bytea
        | Scalar::Json
        | Scalar::Jsonb
        | Scalar::Uuid
        | Scalar::Interval
        | Scalar::Inet
        | Scalar::Inferred => Ok(None),
    }
}

/// How many digits count: none of those before the first one that is no zero, and not those of an exponent.
fn digits(text: &str) -> usize {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let bare = mantissa.trim_start_matches(['+', '-', '0', '.']);
    let trimmed = if mantissa.contains('.') {
        bare.trim_end_matches('0')
    } else {
        bare
    };
    trimmed.bytes().filter(u8::is_ascii_digit).count()
}

/// A member of a list in JSON.
fn member(of: Scalar, value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Value::List(_) => return Err("it has lists in a list".to_owned()),
        Value::Text(text) => match scalar(of, text)? {
            Some(Bound::Integer(integer)) if of == Scalar::Bool => Json::Bool(integer != 0),
            Some(Bound::Integer(integer)) => Json::from(integer),
            Some(Bound::Real(real)) => match Number::from_f64(real) {
                Some(number) => Json::Number(number),
                None => return Err("it has a number that JSON has not".to_owned()),
            },
            _ if matches!(of, Scalar::Json | Scalar::Jsonb) => {
                serde_json::from_str(text).map_err(|_| "it is no JSON".to_owned())?
            }
            _ => Json::String(text.clone()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Bound, String> {
        let of: Type = name.parse().unwrap();
        let value = of.of_text(text).unwrap();
        let bound = bound(of, &value)?;
        Ok(match bound {
            ToSqlOutput::Borrowed(value) => value.try_into().unwrap(),
            ToSqlOutput::Owned(value) => value,
            _ => panic!("{bound:?}"),
        })
    }

    #[test]
    fn a_type_says_what_a_text_is_kept_as() {
        let text = |text: &str| Ok(Bound::Text(text.to_owned()));
        for (name, given, expected) in [
            ("bool", "t", Ok(Bound::Integer(1))),
            ("bool", "0", Ok(Bound::Integer(0))),
            ("int8", "-9223372036854775808", Ok(Bound::Integer(i64::MIN))),
            ("float8", "1e3", Ok(Bound::Real(1000.0))),
            ("float8", "Infinity", Ok(Bound::Real(f64::INFINITY))),
            ("numeric", "42", Ok(Bound::Integer(42))),
            ("numeric", "0.10", Ok(Bound::Real(0.1))),
            (
                "numeric",
                "000123456789012345.00",
                Ok(Bound::Real(123_456_789_012_345.0)),
            ),
            ("text", "'", text("'")),
            ("inferred", "7", text("7")),
            ("jsonb", "{\"a\": 1}", text("{\"a\": 1}")),
            ("bytea", "AP8=", Ok(Bound::Blob(vec![0, 255]))),
            ("date", "2026-01-31", text("2026-01-31")),
            (
                "timestamptz",
                "2026-01-31T12:30:00Z",
                text("2026-01-31T12:30:00Z"),
            ),
            ("int8[]", "[1, null]", text("[1,null]")),
            ("text[]", "[\"a\\\"\", \"1\"]", text("[\"a\\\"\",\"1\"]")),
            ("json[]", "[{\"a\": 1}]", text("[{\"a\":1}]")),
            ("bool[]", "[true]", text("[true]")),
        ] {
            assert_eq!(of(name, given), expected, "{name} {given}");
        }
        for (name, given) in [
            ("float8", "NaN"),
            ("numeric", "NaN"),
            ("numeric", "123456789012345678901.5"),
            ("numeric", "9223372036854775808"),
            ("numeric", "1e400"),
            ("date", "yesterday"),
            ("timestamp", "2026-01-31T12:30:00Z"),
            ("timestamptz", "2026-01-31T12:30:00"),
            ("float8[]", "[\"Infinity\"]"),
        ] {
            assert!(of(name, given).is_err(), "{name} {given}");
        }
    }
}
