//! A path in the one form in which it is matched and forwarded.
//!
//! The application behind the proxy must read the same path as the policies before it, so a path is brought
//! to one form before anything looks at it, and that form is what goes upstream:
//!
//! - empty segments are dropped (`//` becomes `/`), then `.` and `..` are resolved (RFC 3986, section
//!   5.2.4), never above the root;
//! - percent-encoded unreserved characters are decoded, other escapes get upper-case digits (RFC 3986,
//!   sections 6.2.2.1 and 6.2.2.2);
//! - characters that a path may not hold (RFC 3986, section 3.3) are percent-encoded.
//!
//! A slash, backslash or NUL that is percent-encoded stays so, and never splits a segment. Only some routes
//! let such a path pass, and which route it is turns out later, so it is reported beside the path.

use std::borrow::Cow;

use http::uri::PathAndQuery;
use percent_encoding::percent_encode_byte;

use crate::http::error::{BAD_PATH, Error};

/// A request target with its path in the one form.
#[derive(Clone, Debug)]
pub struct Normalised {
    /// The query is as it came.
    pub target: PathAndQuery,
    /// Whether the path came with an encoded slash, backslash or NUL, be it in a segment that a `..` took away.
    /// A raw backslash counts, and is encoded.
    pub encoded_separators: bool,
}

/// Brings the path of `target` to the one form. `*` (of `OPTIONS *`) stays as it is.
///
/// # Errors
/// `bad_path` when a percent sign is not followed by two hexadecimal digits.
pub fn normalise(mut target: PathAndQuery) -> Result<Normalised, Error> {
    let encoded_separators = normalise_in_place(&mut target)?;
    Ok(Normalised {
        target,
        encoded_separators,
    })
}

/// The same where the target stands; says what [`Normalised::encoded_separators`] does.
///
/// A path that has that form already costs one scan and no allocation.
///
/// # Errors
/// As [`normalise`]; `target` stays as it is.
pub fn normalise_in_place(target: &mut PathAndQuery) -> Result<bool, Error> {
    if target.as_str() == "*" {
        return Ok(false);
    }
    let canonical = canonical(target.path())
        .ok_or_else(|| Error::new(BAD_PATH, "the path has a malformed percent escape"))?;
    let encoded_separators = canonical.encoded_separators;
    let as_it_came = matches!(canonical.text, Cow::Borrowed(_)) && target.as_str().starts_with('/');
    if !as_it_came {
        *target = with_query(&canonical.text, target.query())?;
    }
    Ok(encoded_separators)
}

/// Joins a path and the query that belongs to it.
///
/// # Errors
/// `bad_path` when the whole is longer than a URI may be (64 KiB), or `path` is none.
pub fn with_query(path: &str, query: Option<&str>) -> Result<PathAndQuery, Error> {
    let mut whole = String::with_capacity(path.len() + query.map_or(0, |q| q.len() + 1));
    whole.push_str(path);
    if let Some(query) = query {
        whole.push('?');
        whole.push_str(query);
    }
    PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole))
        .map_err(|error| Error::new(BAD_PATH, "the path is not valid").because(error))
}

/// A path in the one form, borrowed when it came so.
#[derive(Debug, PartialEq)]
pub struct Canonical<'a> {
    pub text: Cow<'a, str>,
    pub encoded_separators: bool,
}

/// The one form of `path`, which begins with a slash. None: malformed.
pub fn canonical(path: &str) -> Option<Canonical<'_>> {
    match scan(path.as_bytes())? {
        Scan::Canonical { encoded_separators } => Some(Canonical {
            text: Cow::Borrowed(path),
            encoded_separators,
        }),
        Scan::Differs => rebuild(path),
    }
}

/// What a look at every byte finds.
enum Scan {
    Canonical {
        encoded_separators: bool,
    },
    /// Something must change. What follows that place has not been looked at.
    Differs,
}

fn scan(path: &[u8]) -> Option<Scan> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut encoded_separators = false;
    let mut at = 0;
    loop {
        at += plain_len(&path[at..]);
        let Some(byte) = path.get(at) else { break };
        match CLASSES[usize::from(*byte)] {
            Class::Plain => at += 1,
            Class::Slash => {
                at += 1;
                if starts_with_needless_segment(&path[at..]) {
                    return Some(Scan::Differs);
                }
            }
            Class::Percent => {
                let escaped = escaped_byte(&path[at..])?;
                let upper = !path[at + 1..at + 3].iter().any(u8::is_ascii_lowercase);
                if is_unreserved(escaped) || !upper {
                    return Some(Scan::Differs);
                }
                encoded_separators |= is_separator(escaped);
                at += 3;
            }
            Class::Forbidden => return Some(Scan::Differs),
        }
    }
    Some(Scan::Canonical { encoded_separators })
}

/// How many bytes come before the first that needs a closer look.
fn plain_len(path: &[u8]) -> usize {
    let is_plain = |byte: &u8| matches!(CLASSES[usize::from(*byte)], Class::Plain);
    let other = path.iter().position(|byte| !is_plain(byte));
    other.unwrap_or(path.len())
}

/// Whether what follows a slash begins with an empty, `.` or `..` segment. The empty one at the end of a path
/// is no needless one: it is its trailing slash.
fn starts_with_needless_segment(rest: &[u8]) -> bool {
    let after_dots = match rest {
        [b'/', ..] => return true,
        [b'.', b'.', after @ ..] | [b'.', after @ ..] => after,
        _ => return false,
    };
    matches!(after_dots, [] | [b'/', ..])
}

fn rebuild(path: &str) -> Option<Canonical<'static>> {
    let mut text = String::with_capacity(path.len() + 8);
    let mut encoded_separators = false;
    let mut segments = path.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = text.len();
        text.push('/');
        encoded_separators |= push_segment(&mut text, segment)?;
        match &text[start + 1..] {
            "" | "." => text.truncate(start),
            ".." => {
                text.truncate(start);
                text.truncate(text.rfind('/').unwrap_or(0));
            }
            _ => continue,
        }
        // What a segment that went away leaves behind at the end is a directory.
        if segments.peek().is_none() {
            text.push('/');
        }
    }
    Some(Canonical {
        text: Cow::Owned(text),
        encoded_separators,
    })
}

/// Appends a segment with its escapes in the one form; says whether it holds an encoded separator.
fn push_segment(text: &mut String, segment: &str) -> Option<bool> {
    let bytes = segment.as_bytes();
    let mut separators = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match CLASSES[usize::from(byte)] {
            Class::Percent => {
                let escaped = escaped_byte(&bytes[at..])?;
                if is_unreserved(escaped) {
                    text.push(char::from(escaped));
                } else {
                    text.push_str(percent_encode_byte(escaped));
                    separators |= is_separator(escaped);
                }
                at += 3;
                continue;
            }
            Class::Forbidden => {
                text.push_str(percent_encode_byte(byte));
                separators |= is_separator(byte);
            }
            Class::Plain | Class::Slash => text.push(char::from(byte)),
        }
        at += 1;
    }
    Some(separators)
}

/// The byte that the escape at the start of `bytes` stands for.
pub fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    Some((digit(1)? << 4 | digit(2)?) as u8)
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\' | 0)
}

/// RFC 3986, section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// How a byte of a path is treated.
#[derive(Clone, Copy)]
enum Class {
    Plain,
    Slash,
    Percent,
    /// May not stand in a path unless it is encoded.
    Forbidden,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Forbidden; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            // RFC 3986, section 3.3: sub-delims, ":" and "@".
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
            | b'@' => Class::Plain,
            other if is_unreserved(other) => Class::Plain,
            _ => Class::Forbidden,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests;
