//! Heads that leave nothing to judge, read in one pass.
//!
//! Nearly every head is one: HTTP/1.1, its lines whole and ended by CRLF, no tab in a value. All others are left to
//! `httparse`, which says what is wrong with them, or how they are read all the same. What is read here, it reads
//! alike: a test holds the two side by side.

use http::{Method, StatusCode};

use super::fields::Fields;
use super::limits::Limits;

/// What one pass over a request head found; offsets count from its first byte.
pub(super) struct RequestScan {
    pub length: usize,
    pub method: Method,
    pub target: (usize, usize),
    pub http_10: bool,
    pub fields: Fields,
}

/// What one pass over a response head found.
pub(super) struct ResponseScan {
    pub length: usize,
    pub status: StatusCode,
    pub http_10: bool,
    pub fields: Fields,
}

/// `None`: not here whole, or not as plain as that.
#[inline(always)]
pub(super) fn request(buffer: &[u8], limits: Limits) -> Option<RequestScan> {
    let method_end = buffer
        .iter()
        .position(|byte| !byte.is_ascii_uppercase())
        .filter(|end| *end > 0 && buffer[*end] == b' ')?;
    let start = method_end + 1;
    let target_len = graphic_len(&buffer[start..]);
    let version = &buffer[start + target_len..];
    if target_len == 0 || !version.starts_with(REQUEST_VERSION) {
        return None;
    }
    let lines = start + target_len + REQUEST_VERSION.len();
    let (length, fields) = fields(buffer, lines, limits)?;
    Some(RequestScan {
        length,
        method: Method::from_bytes(&buffer[..method_end]).ok()?,
        target: (start, target_len),
        http_10: false,
        fields,
    })
}

/// `None`: not here whole, or not as plain as that.
#[inline(always)]
pub(super) fn response(buffer: &[u8], limits: Limits) -> Option<ResponseScan> {
    let rest = buffer.strip_prefix(RESPONSE_VERSION)?;
    let (status, rest) = rest.split_first_chunk::<3>()?;
    let rest = rest.strip_prefix(b" ")?;
    let reason = rest
        .iter()
        .position(|byte| !matches!(byte, b' '..=b'~'))
        .filter(|end| rest[*end..].starts_with(b"\r\n"))?;
    let lines = RESPONSE_VERSION.len() + status.len() + 1 + reason + 2;
    let (length, fields) = fields(buffer, lines, limits)?;
    Some(ResponseScan {
        length,
        status: StatusCode::from_bytes(status).ok()?,
        http_10: false,
        fields,
    })
}

const REQUEST_VERSION: &[u8] = b" HTTP/1.1\r\n";
const RESPONSE_VERSION: &[u8] = b"HTTP/1.1 ";
/// Room for so many fields is made beforehand.
const USUAL: usize = 16;

/// The field lines from `start` on, and the length of the head that they end.
fn fields(head: &[u8], start: usize, limits: Limits) -> Option<(usize, Fields)> {
    let mut fields = Fields::with_capacity(USUAL);
    let mut line = start;
    let mut count = 0;
    loop {
        let rest = head.get(line..)?;
        let name_len = token_len(rest);
        let (name, rest) = rest.split_at_checked(name_len)?;
        if name.is_empty() {
            let length = line + 2;
            let whole = rest.starts_with(b"\r\n") && length <= limits.bytes();
            fields.are_lines(start, line);
            return whole.then_some((length, fields));
        }
        let rest = rest.strip_prefix(b":")?;
        let spaces = spaces_len(rest);
        let value = rest.get(spaces..)?;
        let ended = text_len(value);
        let (value, rest) = value.split_at_checked(ended)?;
        count += 1;
        if !rest.starts_with(b"\r\n") || count > limits.fields() {
            return None;
        }
        let (name_at, value_at) = (line, line + name_len + 1 + spaces);
        line = value_at + ended + 2;
        fields
            .add(name, name_at, trim_spaces(value), value_at, line)
            .ok()?;
    }
}

/// How many spaces `text` begins with: mostly one.
#[inline(always)]
fn spaces_len(text: &[u8]) -> usize {
    let mut length = 0;
    while text.get(length) == Some(&b' ') {
        length += 1;
    }
    length
}

fn trim_spaces(mut value: &[u8]) -> &[u8] {
    while let [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

/// A byte's highest bit, and one of each byte, of eight that are looked at together.
const HIGH: u64 = EACH << 7;
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// How many bytes of `text` come before the first control character, tabs among them.
#[inline(always)]
fn text_len(text: &[u8]) -> usize {
    let mut length = 0;
    let mut left = text;
    while let Some((word, behind)) = left.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        let low = word & !HIGH;
        let is_delete = low + EACH;
        let is_text = low + EACH * (0x80 - 0x20);
        let found = (is_delete | !is_text) & !word & HIGH;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
        left = behind;
    }
    while (text.get(length)).is_some_and(|byte| !byte.is_ascii_control()) {
        length += 1;
    }
    length
}

/// How many bytes of `text` come before the first that is not visible ASCII.
#[inline(always)]
fn graphic_len(text: &[u8]) -> usize {
    let mut length = 0;
    let mut left = text;
    while let Some((word, behind)) = left.split_first_chunk() {
        let word = u64::from_le_bytes(*word);
        let low = word & !HIGH;
        let is_delete = low + EACH;
        let is_graphic = low + EACH * (0x80 - 0x21);
        let found = (is_delete | !is_graphic | word) & HIGH;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
        left = behind;
    }
    while text.get(length).is_some_and(u8::is_ascii_graphic) {
        length += 1;
    }
    length
}

/// How many bytes of `text` come before the first that no name has.
#[inline(always)]
fn token_len(text: &[u8]) -> usize {
    let mut length = 0;
    let mut left = text;
    while let Some((word, behind)) = left.split_first_chunk() {
        // Letters and the hyphen; the others are seldom.
        let word = u64::from_le_bytes(*word);
        let low = word & !HIGH;
        let lower = low | (EACH * 0x20);
        let letter = (lower + EACH * (0x80 - 0x61)) & !(lower + EACH * (0x7f - 0x7a));
        let hyphen = !((low ^ (EACH * 0x2d)) + EACH * 0x7f);
        let others = (!(letter | hyphen) | word) & HIGH;
        if others != 0 {
            length += (others.trailing_zeros() / 8) as usize;
            break;
        }
        length += 8;
        left = behind;
    }
    while let Some(byte) = text.get(length)
        && TOKEN[usize::from(*byte)]
    {
        length += 1;
    }
    length
}

/// What a name is made of: `tchar` of RFC 9110, section 5.6.2.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        token[byte] = matches!(
            byte as u8,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        ) || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    token
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_ends_where_a_control_character_stands(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let expected = text.iter().position(|byte| byte.is_ascii_control());
            prop_assert_eq!(text_len(&text), expected.unwrap_or(text.len()));
        }

        #[test]
        fn a_target_ends_where_no_visible_character_stands(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), b'!'..=b'~'], 0..40),
        ) {
            let expected = text.iter().position(|byte| !byte.is_ascii_graphic());
            prop_assert_eq!(graphic_len(&text), expected.unwrap_or(text.len()));
        }

        #[test]
        fn a_name_ends_where_none_has_such_a_byte(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"aZ09-_."[..])], 0..40),
        ) {
            let expected = text.iter().position(|byte| !TOKEN[usize::from(*byte)]);
            prop_assert_eq!(token_len(&text), expected.unwrap_or(text.len()));
        }
    }
}
