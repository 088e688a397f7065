//! Values of parameters, as a statement is executed with them (`COM_STMT_EXECUTE`).

use super::packet::put_bytes;
use super::temporal::{Moment, Span};
use crate::database::{Failure, Scalar, Type, Value};

const TINY: u16 = 0x01;
const FLOAT: u16 = 0x04;
const DOUBLE: u16 = 0x05;
const NULL: u16 = 0x06;
const LONG_LONG: u16 = 0x08;
const DATE: u16 = 0x0a;
const TIME: u16 = 0x0b;
const DATE_TIME: u16 = 0x0c;
const DECIMAL: u16 = 0xf6;
const BLOB: u16 = 0xfc;
const TEXT: u16 = 0xfd;

/// What stands behind the head of the command: which are null, the types, and the values, `order` telling which of `values`
/// stands at each placeholder.
///
/// # Errors
/// When a value is none that the database has.
pub(super) fn parameters(
    types: &[Type],
    values: &[Value],
    order: &[usize],
) -> Result<Vec<u8>, Failure> {
    if order.is_empty() {
        return Ok(Vec::new());
    }
    let mut nulls = vec![0_u8; order.len().div_ceil(8)];
    let (mut kinds, mut bound) = (Vec::with_capacity(order.len() * 2), Vec::new());
    for (place, number) in order.iter().enumerate() {
        let of = types.get(*number).copied().unwrap_or(Type::TEXT);
        let kind = match values.get(*number) {
            None | Some(Value::Null) => {
                nulls[place / 8] |= 1 << (place % 8);
                NULL
            }
            Some(value) => one(of, value, &mut bound)
                .map_err(|what| Failure::BadValue(Some(*number), what.to_owned()))?,
        };
        kinds.extend_from_slice(&kind.to_le_bytes());
    }
    // The types are sent each time.
    nulls.push(1);
    Ok([nulls, kinds, bound].concat())
}

/// Appends a value, and gives the type that it has there.
fn one(of: Type, value: &Value, into: &mut Vec<u8>) -> Result<u16, &'static str> {
    let text = match value {
        Value::Text(text) => text,
        Value::Bytes(bytes) => {
            put_bytes(into, bytes);
            return Ok(BLOB);
        }
        Value::Null | Value::List(_) => {
            return Err("it is a list, which this database does not have");
        }
    };
    match of.scalar {
        Scalar::Bool => {
            into.push(u8::from(matches!(text.as_str(), "true" | "t" | "1")));
            Ok(TINY)
        }
        Scalar::Int2 | Scalar::Int4 | Scalar::Int8 => {
            let number: i64 = text.parse().map_err(|_| "it is no integer")?;
            into.extend_from_slice(&number.to_le_bytes());
            Ok(LONG_LONG)
        }
        Scalar::Float4 => {
            let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
            into.extend_from_slice(
                &number
                    .ok_or("it is no number that this database has")?
                    .to_le_bytes(),
            );
            Ok(FLOAT)
        }
        Scalar::Float8 => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
            into.extend_from_slice(
                &number
                    .ok_or("it is no number that this database has")?
                    .to_le_bytes(),
            );
            Ok(DOUBLE)
        }
        Scalar::Numeric => {
            if text.ends_with(['N', 'y']) {
                return Err("it is no number that this database has");
            }
            put_bytes(into, text.as_bytes());
            Ok(DECIMAL)
        }
        Scalar::Date => {
            date(Moment::date(text).ok_or("it is no date")?, into);
            Ok(DATE)
        }
        Scalar::Time => {
            span(Span::parse(text).ok_or("it is no time")?, into);
            Ok(TIME)
        }
        Scalar::Timestamp | Scalar::Timestamptz => {
            moment(
                Moment::date_time(text).ok_or("it is no date with a time")?,
                into,
            );
            Ok(DATE_TIME)
        }
        _ => {
            put_bytes(into, text.as_bytes());
            Ok(TEXT)
        }
    }
}

/// MySQL (9.7) takes no date that has a time behind it, not even one of zeros.
fn date(moment: Moment, into: &mut Vec<u8>) {
    into.push(4);
    put_day(moment, into);
}

fn moment(moment: Moment, into: &mut Vec<u8>) {
    into.push(11);
    put_day(moment, into);
    into.extend_from_slice(&[moment.hour, moment.minute, moment.second]);
    into.extend_from_slice(&moment.micros.to_le_bytes());
}

fn put_day(moment: Moment, into: &mut Vec<u8>) {
    into.extend_from_slice(&moment.year.to_le_bytes());
    into.extend_from_slice(&[moment.month, moment.day]);
}

fn span(span: Span, into: &mut Vec<u8>) {
    into.extend_from_slice(&[12, u8::from(span.is_negative)]);
    into.extend_from_slice(&span.days.to_le_bytes());
    into.extend_from_slice(&[span.hour, span.minute, span.second]);
    into.extend_from_slice(&span.micros.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Result<Vec<u8>, Failure> {
        parameters(
            &[name.parse().unwrap()],
            &[Value::Text(text.to_owned())],
            &[0],
        )
    }

    #[test]
    fn values_stand_behind_their_types() {
        let types = [Type::TEXT, "int8".parse().unwrap()];
        let values = [Value::Null, Value::Text("-2".to_owned())];
        let bound = parameters(&types, &values, &[1, 0, 1]).unwrap();
        let two = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let head = [0b010, 1, 8, 0, 6, 0, 8, 0];
        assert_eq!(bound, [&head[..], &two, &two].concat());
        assert_eq!(parameters(&types, &values, &[]), Ok(Vec::new()));
        assert_eq!(of("date", "2026-01-31").unwrap()[4..], [4, 0xea, 7, 1, 31]);
        assert_eq!(
            of("timestamp", "2026-01-31").unwrap()[4..],
            [11, 0xea, 7, 1, 31, 0, 0, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn what_the_database_does_not_have_is_refused_by_the_number_of_its_parameter() {
        for (name, text) in [
            ("float8", "NaN"),
            ("float4", "1e39"),
            ("numeric", "-Infinity"),
            ("date", "hush"),
            ("time", "hush"),
            ("timestamptz", "hush"),
        ] {
            let refused = of(name, text);
            assert!(
                matches!(&refused, Err(Failure::BadValue(Some(0), why)) if !why.contains("hush")),
                "{refused:?}"
            );
        }
    }
}
