//! The names of a span's attributes, with all that is written around them: most of an attribute is known when the program is
//! built, which halves what it takes to write one.

use super::protobuf::Writer;
use super::span::field::ATTRIBUTES;

/// What begins `attributes`, the fields of `KeyValue`, and those for text and numbers in `AnyValue`.
const ATTRIBUTE: u8 = (ATTRIBUTES as u8) << 3 | 2;
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;
const TEXT: u8 = 1 << 3 | 2;
const NUMBER: u8 = 3 << 3;
/// What is written around a name, in bytes.
const AROUND: usize = 8;
/// The longest name with what is around it. All of it is copied, which takes less than to copy only what is filled.
const FRAME: usize = 64;
/// The largest size that is one byte.
const SHORT: usize = 0x7f;

/// The name of an attribute, of at most 56 bytes. [`key!`](crate::trace::key) makes one.
pub struct Key {
    /// An attribute without its value, all of whose sizes are one byte.
    frame: [u8; FRAME],
    length: usize,
}

/// A [`Key`] that is made when the program is built.
macro_rules! key {
    ($name:literal) => {
        &const { $crate::trace::Key::new($name) }
    };
}
pub(crate) use key;

impl Key {
    pub const fn new(name: &str) -> Self {
        let name = name.as_bytes();
        let length = name.len() + AROUND;
        assert!(length <= FRAME, "the name of an attribute is too long");
        let mut frame = [0; FRAME];
        frame[0] = ATTRIBUTE;
        frame[2] = KEY;
        frame[3] = name.len() as u8;
        let mut at = 0;
        while at < name.len() {
            frame[4 + at] = name[at];
            at += 1;
        }
        frame[length - 4] = VALUE;
        Key { frame, length }
    }

    fn name(&self) -> &[u8] {
        &self.frame[4..self.length - 4]
    }

    /// Writes the attribute with text.
    pub(super) fn text(&self, value: &[u8], to: &mut Writer) {
        // Behind itself it has all but two bytes of the frame.
        let size = self.length - 2 + value.len();
        if size > SHORT {
            return self.joined(&[value], to);
        }
        let length = value.len() as u8;
        self.begin(size, [length + 2, TEXT, length], to);
        to.append(value);
    }

    /// The same with text in parts.
    pub(super) fn joined(&self, parts: &[&[u8]], to: &mut Writer) {
        to.text_attribute(ATTRIBUTES, self.name(), parts);
    }

    /// The same with a number.
    pub(super) fn number(&self, value: u64, to: &mut Writer) {
        let size = self.length - 2;
        if value < 1 << 7 {
            self.begin(size, [2, NUMBER, value as u8], to);
        } else if value < 1 << 14 {
            self.begin(size + 1, [3, NUMBER, value as u8 | 0x80], to);
            to.append(&[(value >> 7) as u8]);
        } else {
            to.number_attribute(ATTRIBUTES, self.name(), value);
        }
    }

    /// Writes the frame, with its last three bytes.
    #[inline]
    fn begin(&self, size: usize, last: [u8; 3], to: &mut Writer) {
        if let [_, of_all, .., a, b, c] = to.append_some(&self.frame, self.length) {
            *of_all = size as u8;
            [*a, *b, *c] = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_as_any_other() {
        let key = key!("key");
        // All lengths about those from which on sizes have more than one byte.
        for length in (0..4).chain(110..140) {
            let (mut short, mut any) = (Writer::default(), Writer::default());
            let value = "v".repeat(length);
            key.text(value.as_bytes(), &mut short);
            let (one, other) = value.as_bytes().split_at(length / 3);
            any.text_attribute(ATTRIBUTES, b"key", &[one, other]);
            assert_eq!(short.as_ref(), any.as_ref(), "{length}");
        }
        for value in [0, 1, 127, 128, 443, 8080, 16_383, 16_384, u64::MAX] {
            let (mut short, mut any) = (Writer::default(), Writer::default());
            key!("a.name.that.is.as.long.as.one.can.be.xyz").number(value, &mut short);
            any.number_attribute(
                ATTRIBUTES,
                b"a.name.that.is.as.long.as.one.can.be.xyz",
                value,
            );
            assert_eq!(short.as_ref(), any.as_ref(), "{value}");
        }
    }
}
