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

    /// Fields that were written elsewhere.
    #[inline]
    pub fn append(&mut self, fields: &[u8]) {
        self.0.extend_from_slice(fields);
    }

    /// The first `length` bytes of such fields, to be changed. All of them are copied at first: how many there are is known when
    /// the program is built, so that no loop is.
    #[inline]
    pub fn append_some<const N: usize>(&mut self, fields: &[u8; N], length: usize) -> &mut [u8] {
        let start = self.0.len();
        self.0.extend_from_slice(fields);
        self.0.truncate(start + length);
        &mut self.0[start..]
    }

    /// Text in parts.
    pub fn joined(&mut self, field: u32, parts: &[&[u8]]) {
        self.number(field << 3 | LENGTH);
        self.push(parts.iter().map(|part| part.len() as u64).sum());
        for part in parts {
            self.0.extend_from_slice(part);
        }
    }

    /// Text, bytes, or a message.
    pub fn bytes(&mut self, field: u32, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        self.number(field << 3 | LENGTH);
        self.push(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// `KeyValue` of OpenTelemetry with text, which is given in parts. Sizes come first, so that nothing is written elsewhere
    /// beforehand.
    pub fn text_attribute(&mut self, field: u32, key: &[u8], value: &[&[u8]]) {
        let length = value.iter().map(|part| part.len()).sum();
        self.attribute(field, key, 1 + prefixed(length));
        self.joined(1, value);
    }

    /// The same with a number, which is not negative.
    pub fn number_attribute(&mut self, field: u32, key: &[u8], value: u64) {
        self.attribute(field, key, 1 + size(value));
        self.varint(3, value);
    }

    /// All of an attribute up to its value, whose field has so many bytes.
    fn attribute(&mut self, field: u32, key: &[u8], value: usize) {
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
        span.text_attribute(9, b"a", &[b"b"]);
        span.number_attribute(9, b"c", 200);
        assert_eq!(
            span.into_bytes(),
            b"\x4a\x08\x0a\x01a\x12\x03\x0a\x01b\x4a\x08\x0a\x01c\x12\x03\x18\xc8\x01"
        );
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
        span.text_attribute(9, long.as_bytes(), &[long.as_bytes()]);
        let message = span.into_bytes();
        // Behind its key and the two bytes of its length all of it is the attribute.
        let length = usize::from(message[1] & 0x7f) | usize::from(message[2]) << 7;
        assert_eq!(length, message.len() - 3);
    }
}
