//! What can be told of a head that was refused, however it is broken.

use http::{Method, Version};

use super::host;
use crate::http::message::Outline;

/// Reads what is readable at the front of `received`; the last line may be half a one.
pub fn outline(received: &[u8]) -> Outline {
    let mut outline = Outline::default();
    let received = received.trim_ascii_start();
    let (start, rest) = match memchr::memchr(b'\n', received) {
        Some(end) => (&received[..end], &received[end + 1..]),
        None => (received, &[][..]),
    };
    let mut words = start
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let method = words.next().unwrap_or_default();
    if method.len() == received.len() {
        // Half a word, maybe.
        return outline;
    }
    outline.method = Method::from_bytes(method).ok();
    let Some(target) = words.next() else {
        return outline;
    };
    outline.version = match words.next() {
        Some(b"HTTP/1.1") => Some(Version::HTTP_11),
        Some(b"HTTP/1.0") => Some(Version::HTTP_10),
        _ => None,
    };
    outline.note_target(target);
    let whole = memchr::memrchr(b'\n', rest).map_or(0, |end| end + 1);
    for line in rest[..whole].split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            break;
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"host") && outline.authority.is_none() {
            outline.authority = host::read(value);
        }
        outline.note_field(name, value);
    }
    outline
}
