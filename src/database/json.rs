//! Values of rows as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::BigNumbers;

/// The largest integer up to which all are exact in JavaScript: `Number.MAX_SAFE_INTEGER`.
const SAFE: u64 = (1 << 53) - 1;

pub(super) fn null(into: &mut BytesMut) {
    into.extend_from_slice(b"null");
}

/// A string. Bytes that are no UTF-8 are replaced.
pub(super) fn string(text: &[u8], into: &mut BytesMut) {
    into.extend_from_slice(b"\"");
    let needs_escape = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    match std::str::from_utf8(text) {
        Ok(_) if !text.iter().any(needs_escape) => into.extend_from_slice(text),
        Ok(_) => escaped(text, into),
        Err(_) => escaped(String::from_utf8_lossy(text).as_bytes(), into),
    }
    into.extend_from_slice(b"\"");
}

fn escaped(text: &[u8], into: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in text {
        match byte {
            b'"' => into.extend_from_slice(b"\\\""),
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'\n' => into.extend_from_slice(b"\\n"),
            b'\r' => into.extend_from_slice(b"\\r"),
            b'\t' => into.extend_from_slice(b"\\t"),
            byte if *byte < 0x20 => {
                into.extend_from_slice(b"\\u00");
                into.extend_from_slice(&[
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]);
            }
            byte => into.extend_from_slice(&[*byte]),
        }
    }
}

/// Digits of an integer: a number where JavaScript reads it exactly, or where that is wanted anyway.
pub(super) fn integer(digits: &[u8], big: BigNumbers, into: &mut BytesMut) {
    let bare = digits.strip_prefix(b"-").unwrap_or(digits);
    let is_number = !bare.is_empty() && bare.iter().all(u8::is_ascii_digit);
    let value = std::str::from_utf8(bare)
        .ok()
        .and_then(|text| text.parse().ok());
    let is_safe = value.is_some_and(|value: u64| value <= SAFE);
    if is_number && (is_safe || big == BigNumbers::Number) {
        into.extend_from_slice(digits);
    } else {
        string(digits, into);
    }
}

/// Digits of a decimal number. One with digits behind its point is a string, unless numbers are wanted, whatever its value:
/// so a column has one type.
pub(super) fn decimal(digits: &[u8], big: BigNumbers, into: &mut BytesMut) {
    if !digits.contains(&b'.') {
        return integer(digits, big, into);
    }
    let bare = digits.strip_prefix(b"-").unwrap_or(digits);
    let is_number = bare
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && bare.first() != Some(&b'.')
        && bare.last() != Some(&b'.');
    if is_number && big == BigNumbers::Number {
        into.extend_from_slice(digits);
    } else {
        string(digits, into);
    }
}

/// A floating-point number in text: `NaN` and infinities are strings.
pub(super) fn float(text: &[u8], into: &mut BytesMut) {
    let is_number = text
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+-.e".contains(byte))
        && text.last().is_some_and(u8::is_ascii_digit)
        && text.first() != Some(&b'.');
    if is_number {
        into.extend_from_slice(text);
    } else {
        string(text, into);
    }
}

/// Bytes as base64 (RFC 4648, section 4).
pub(super) fn bytes(bytes: &[u8], into: &mut BytesMut) {
    into.extend_from_slice(b"\"");
    into.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    into.extend_from_slice(b"\"");
}

/// A document as the database has it. Line breaks in one are blanks: it may become a line.
pub(super) fn document(text: &[u8], into: &mut BytesMut) {
    let from = into.len();
    into.extend_from_slice(text);
    if memchr::memchr2(b'\n', b'\r', text).is_some() {
        for byte in &mut into[from..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// `2026-01-31 12:00:00.5` with a `T` between date and time, and an offset of RFC 3339 where there is one; what is no such
/// time, as `infinity`, stays as it is.
pub(super) fn timestamp(text: &[u8], into: &mut BytesMut) {
    let is_time =
        text.len() >= 19 && text[0].is_ascii_digit() && text.last().is_some_and(u8::is_ascii_digit);
    let Some(blank) = text
        .iter()
        .position(|byte| *byte == b' ')
        .filter(|_| is_time)
    else {
        return string(text, into);
    };
    into.extend_from_slice(b"\"");
    into.extend_from_slice(&text[..blank]);
    into.extend_from_slice(b"T");
    let time = &text[blank + 1..];
    match time.iter().rposition(|byte| matches!(byte, b'+' | b'-')) {
        None => into.extend_from_slice(time),
        Some(sign) => {
            let (time, offset) = time.split_at(sign);
            into.extend_from_slice(time);
            match offset {
                b"+00" | b"+00:00" => into.extend_from_slice(b"Z"),
                offset => {
                    into.extend_from_slice(offset);
                    if offset.len() == 3 {
                        into.extend_from_slice(b":00");
                    }
                }
            }
        }
    }
    into.extend_from_slice(b"\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut into = BytesMut::new();
        write(&mut into);
        let text = String::from_utf8(into.to_vec()).unwrap();
        serde_json::from_str::<serde::de::IgnoredAny>(&text).unwrap_or_else(|_| panic!("{text}"));
        text
    }

    #[test]
    fn integers_are_numbers_as_long_as_they_are_exact() {
        for (digits, by_default, as_number) in [
            ("0", "0", "0"),
            ("9007199254740991", "9007199254740991", "9007199254740991"),
            (
                "-9007199254740991",
                "-9007199254740991",
                "-9007199254740991",
            ),
            (
                "9007199254740992",
                "\"9007199254740992\"",
                "9007199254740992",
            ),
            (
                "-9223372036854775808",
                "\"-9223372036854775808\"",
                "-9223372036854775808",
            ),
        ] {
            let digits = digits.as_bytes();
            assert_eq!(
                written(|into| integer(digits, BigNumbers::String, into)),
                by_default
            );
            assert_eq!(
                written(|into| integer(digits, BigNumbers::Number, into)),
                as_number
            );
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        for (digits, by_default, as_number) in [
            ("42", "42", "42"),
            ("0.10", "\"0.10\"", "0.10"),
            ("-5.00", "\"-5.00\"", "-5.00"),
            (
                "123456789012345678901",
                "\"123456789012345678901\"",
                "123456789012345678901",
            ),
            ("NaN", "\"NaN\"", "\"NaN\""),
            ("-Infinity", "\"-Infinity\"", "\"-Infinity\""),
        ] {
            let digits = digits.as_bytes();
            assert_eq!(
                written(|into| decimal(digits, BigNumbers::String, into)),
                by_default
            );
            assert_eq!(
                written(|into| decimal(digits, BigNumbers::Number, into)),
                as_number
            );
        }
        for (text, expected) in [
            ("1e+20", "1e+20"),
            ("1.5e-07", "1.5e-07"),
            ("-0", "-0"),
            ("NaN", "\"NaN\""),
            ("-Infinity", "\"-Infinity\""),
        ] {
            assert_eq!(written(|into| float(text.as_bytes(), into)), expected);
        }
    }

    #[test]
    fn strings_are_escaped() {
        let text = "a\"\\\n\r\t\u{1}ü\u{7f}";
        let json = written(|into| string(text.as_bytes(), into));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert_eq!(written(|into| string(b"\xff", into)), "\"\u{fffd}\"");
    }

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (text, expected) in [
            ("2026-01-31 12:00:00+00", "\"2026-01-31T12:00:00Z\""),
            (
                "2026-01-31 12:00:00.25+05:30",
                "\"2026-01-31T12:00:00.25+05:30\"",
            ),
            ("2026-01-31 12:00:00-08", "\"2026-01-31T12:00:00-08:00\""),
            (
                "2026-01-31 12:00:00.000001",
                "\"2026-01-31T12:00:00.000001\"",
            ),
            ("infinity", "\"infinity\""),
            ("0044-03-15 12:00:00+00 BC", "\"0044-03-15 12:00:00+00 BC\""),
        ] {
            assert_eq!(written(|into| timestamp(text.as_bytes(), into)), expected);
        }
        assert_eq!(
            written(|into| document(b"{\n\"a\": 1}", into)),
            "{ \"a\": 1}"
        );
    }
}
