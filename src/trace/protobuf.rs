//! As much of Protocol Buffers as spans need: their messages, written and not read.
//!
//! OTLP's messages are few and frozen, so that these lines stand in place of a generated crate: `opentelemetry-proto` with
//! `prost` builds for some seconds, and makes an object of each attribute that lives until the batch is sent.

/// Writes the fields of a message behind each other.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// What begins the fields of `KeyValue`, and those for text and numbers in `AnyValue`.
const KEY: u8 = 1 << 3 | LENGTH as u8;
const VALUE: u8 = 2 << 3 | LENGTH as u8;
const TEXT: u8 = 1 << 3 | LENGTH as u8;
const NUMBER: u8 = 3 << 3 | VARINT as u8;
/// The largest number of a field that is one byte with its type.
const MOST_OF_SHORT: u32 = 15;
/// The longest key and value together of which each size is one byte.
const LONGEST_SHORT: usize = 0x7f - 6;

impl Writer {
    pub fn with_capacity(bytes: usize) -> Self {
        Writer(Vec::with_capacity(bytes))
    }

    #[inline]
    pub fn varint(&mut self, field: u32, value: u64) {
        self.number(field << 3 | VARINT);
        self.push(value);
    }

    #[inline]
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.number(field << 3 | FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline]
    pub fn fixed32(&mut self, field: u32, value: u32) {
        self.number(field << 3 | FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Text, bytes, or a message.
    pub fn bytes(&mut self, field: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.number(field << 3 | LENGTH);
        self.push(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// `KeyValue` of OpenTelemetry with text.
    pub fn text_attribute(&mut self, field: u32, key: &str, value: &str) {
        if field > MOST_OF_SHORT || key.len() + value.len() > LONGEST_SHORT {
            self.attribute(field, key, 1 + prefixed(value.len()));
            self.bytes(1, value);
            return;
        }
        // As nearly all are: every number is one byte.
        let (of_key, of_value) = (key.len() as u8, value.len() as u8);
        self.0.reserve(key.len() + value.len() + 8);
        let size = of_key + of_value + 6;
        (self.0).extend_from_slice(&[(field << 3 | LENGTH) as u8, size, KEY, of_key]);
        self.0.extend_from_slice(key.as_bytes());
        (self.0).extend_from_slice(&[VALUE, of_value + 2, TEXT, of_value]);
        self.0.extend_from_slice(value.as_bytes());
    }

    /// The same with a number, which is not negative.
    pub fn number_attribute(&mut self, field: u32, key: &str, value: u64) {
        if field <= MOST_OF_SHORT && key.len() <= LONGEST_SHORT && value < 1 << 14 {
            // As ports and statuses are: in two bytes at most.
            let more = u8::from(value > 0x7f);
            let of_key = key.len() as u8;
            self.0.reserve(key.len() + 9);
            let size = of_key + 6 + more;
            (self.0).extend_from_slice(&[(field << 3 | LENGTH) as u8, size, KEY, of_key]);
            self.0.extend_from_slice(key.as_bytes());
            (self.0).extend_from_slice(&[VALUE, 2 + more, NUMBER]);
            self.push(value);
            return;
        }
        self.attribute(field, key, 1 + size(value));
        self.varint(3, value);
    }

    /// All of an attribute up to its value, whose field has so many bytes. Sizes come first, so that nothing is written
    /// elsewhere beforehand.
    fn attribute(&mut self, field: u32, key: &str, value: usize) {
        self.number(field << 3 | LENGTH);
        self.push((1 + prefixed(key.len()) + 1 + prefixed(value)) as u64);
        self.bytes(1, key);
        self.number(2 << 3 | LENGTH);
        self.push(value as u64);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn number(&mut self, value: u32) {
        self.push(u64::from(value));
    }

    #[inline]
    fn push(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Bytes of a number.
fn size(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Bytes of so many bytes with their number.
fn prefixed(length: usize) -> usize {
    size(length as u64) + length
}

impl From<Vec<u8>> for Writer {
    /// Goes on behind fields that were written before.
    fn from(fields: Vec<u8>) -> Self {
        Writer(fields)
    }
}

impl AsRef<[u8]> for Writer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_the_encoding_has_them() {
        // The examples of the guide to the encoding: 150 in field 1, and "testing" in field 2.
        let mut message = Writer::default();
        message.varint(1, 150);
        message.bytes(2, "testing");
        message.fixed32(16, 1);
        message.fixed64(7, 2);
        assert_eq!(
            message.into_bytes(),
            [
                b"\x08\x96\x01\x12\x07testing".as_slice(),
                &[0x85, 0x01, 1, 0, 0, 0],
                &[0x39, 2, 0, 0, 0, 0, 0, 0, 0],
            ]
            .concat()
        );
    }

    #[test]
    fn an_attribute_is_a_key_and_one_of_several_kinds_of_value() {
        let mut span = Writer::default();
        span.text_attribute(9, "a", "b");
        span.number_attribute(9, "c", 200);
        assert_eq!(
            span.into_bytes(),
            b"\x4a\x08\x0a\x01a\x12\x03\x0a\x01b\x4a\x08\x0a\x01c\x12\x03\x18\xc8\x01"
        );
        // All lengths about those from which on sizes have more than one byte.
        for length in 110..140 {
            let (mut short, mut any) = (Writer::default(), Writer::default());
            let value = "v".repeat(length);
            short.text_attribute(9, "key", &value);
            any.attribute(9, "key", 1 + prefixed(length));
            any.bytes(1, &value);
            assert_eq!(short.as_ref(), any.as_ref(), "{length}");
        }
        for value in [0, 1, 127, 128, 443, 8080, 16_383, 16_384, u64::MAX] {
            for key in ["key", &"k".repeat(119), &"k".repeat(122)] {
                let (mut short, mut any) = (Writer::default(), Writer::default());
                short.number_attribute(9, key, value);
                any.attribute(9, key, 1 + size(value));
                any.varint(3, value);
                assert_eq!(short.as_ref(), any.as_ref(), "{key} {value}");
            }
        }
        for (number, bytes) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (16_383, 2),
            (16_384, 3),
            (u64::MAX, 10),
        ] {
            let mut written = Writer::default();
            written.push(number);
            assert_eq!((written.0.len(), size(number)), (bytes, bytes), "{number}");
        }
        let long = "x".repeat(300);
        let mut span = Writer::default();
        span.text_attribute(9, &long, &long);
        let message = span.into_bytes();
        // Behind its key and the two bytes of its length all of it is the attribute.
        let length = usize::from(message[1] & 0x7f) | usize::from(message[2]) << 7;
        assert_eq!(length, message.len() - 3);
    }
}
