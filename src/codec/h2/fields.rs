//! Header fields on their way out, and trailers on their way in.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::frame::Fault;
use super::hpack::decode::Block;
use super::hpack::encode::Encoder;
use super::hpack::name::Name;
use crate::http::headers::{Headers, is_our_word, length};
use crate::http::semantics::{connection, te};

/// Names up to this length are put into lower case without an allocation.
const SHORT: usize = 64;

/// Which fields are left out beside those that speak of a connection.
#[derive(Clone, Copy)]
pub enum LeaveOut {
    Nothing,
    Length,
    LengthAndHost,
}

/// Writes the fields of a message.
pub fn put(encoder: &mut Encoder, out: &mut Vec<u8>, headers: &Headers, leave_out: LeaveOut) {
    let except = match leave_out {
        LeaveOut::Nothing => &connection::CONNECTION,
        LeaveOut::Length => &connection::AND_LENGTH,
        LeaveOut::LengthAndHost => &connection::AND_HOST,
    };
    for (name, value) in headers.iter_except(except) {
        let odd_te = name.eq_ignore_ascii_case(b"te") && !te::is_trailers(value);
        if !odd_te {
            put_lower(encoder, out, name, value);
        }
    }
}

fn put_lower(encoder: &mut Encoder, out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if !has_upper_case(name) {
        return encoder.field(out, name, value);
    }
    match name.len() {
        short @ ..=SHORT => {
            let mut lower = [0; SHORT];
            lower[..short].copy_from_slice(name);
            lower[..short].make_ascii_lowercase();
            encoder.field(out, &lower[..short], value);
        }
        _ => encoder.field(out, &name.to_ascii_lowercase(), value),
    }
}

/// Looks at eight bytes at a time: byte by byte it is a tenth of what an HTTP/2 head costs to write.
fn has_upper_case(name: &[u8]) -> bool {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = EACH << 7;
    let has_one = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let low = word & !HIGH;
        let from_a = low + EACH * (0x80 - u64::from(b'A'));
        let behind_z = low + EACH * (0x7f - u64::from(b'Z'));
        from_a & !behind_z & !word & HIGH != 0
    };
    match name.last_chunk() {
        Some(last) => has_one(last) || name.as_chunks().0.iter().any(has_one),
        None => name.iter().any(u8::is_ascii_uppercase),
    }
}

/// Writes `Content-Length`.
pub fn put_length(encoder: &mut Encoder, out: &mut Vec<u8>, length: u64) {
    encoder.field(out, b"content-length", length::write(length, &mut [0; 20]));
}

pub fn put_trailers(encoder: &mut Encoder, out: &mut Vec<u8>, trailers: &HeaderMap) {
    for (name, value) in trailers {
        let is_ours = is_our_word(name.as_str());
        let name = name.as_str().as_bytes();
        if !is_ours && Name::of(name) != Name::ConnectionSpecific {
            encoder.field(out, name, value.as_bytes());
        }
    }
}

/// Checks what every field must be, whatever message it belongs to (RFC 9113, section 8.2).
///
/// # Errors
/// The message is malformed.
pub fn check(name: Name, value: &[u8], sound: bool) -> Result<(), Fault> {
    if !sound {
        return Err(Fault::malformed("a header value that may not be"));
    }
    match name {
        Name::Malformed => Err(Fault::malformed("a header name that may not be")),
        Name::ConnectionSpecific => Err(Fault::malformed("a header of HTTP/1.1 connections")),
        Name::Te if !te::is_trailers(value) => Err(Fault::malformed("a TE other than trailers")),
        _ => Ok(()),
    }
}

/// The value of `Content-Length`.
///
/// # Errors
/// It is none.
pub fn length(value: &[u8]) -> Result<u64, Fault> {
    length::read(value).map_err(Fault::malformed)
}

/// A block of trailers.
///
/// # Errors
/// It is malformed, or too large.
pub fn trailers(block: &Block) -> Result<HeaderMap, Fault> {
    if block.too_large {
        return Err(Fault::malformed("trailers larger than allowed"));
    }
    let bytes = Bytes::copy_from_slice(&block.bytes);
    let mut trailers = HeaderMap::with_capacity(block.fields.len());
    for field in &block.fields {
        check(field.name, field.value(&bytes), field.sound)?;
        if field.name.is_pseudo() {
            return Err(Fault::malformed("a pseudo-header among trailers"));
        }
        let value = bytes.slice(field.value_at()..field.value_end());
        let (Ok(name), Ok(value)) = (
            HeaderName::from_lowercase(field.name(&bytes)),
            HeaderValue::from_maybe_shared(value),
        ) else {
            return Err(Fault::malformed("a trailer that may not be"));
        };
        trailers.append(name, value);
    }
    Ok(trailers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_upper_case_letter_is_seen_wherever_it_stands(
            name in proptest::collection::vec(
                prop_oneof![4 => b'a'..=b'z', 1 => prop::sample::select(&b"A@Z[-_9\xc1"[..])],
                0..30,
            ),
        ) {
            let expected = name.iter().any(u8::is_ascii_uppercase);
            prop_assert_eq!(has_upper_case(&name), expected);
        }
    }
}
