//! Where the fields of a head lie, gathered while it is parsed.

use super::super::names::{Key, Keys};
use super::field::{Field, MOST};
use super::lists::Lists;

/// Where the fields of a received head lie.
pub struct Spans {
    pub(super) lists: Box<Lists>,
    pub(super) keys: Keys,
    /// See [`Spans::are_lines`].
    pub(super) lines: Option<(u32, u32)>,
}

impl Spans {
    pub fn with_capacity(fields: usize) -> Self {
        let mut lists = Lists::take();
        lists.fields.reserve(fields);
        Spans {
            lists,
            keys: Keys::default(),
            lines: None,
        }
    }

    /// A field whose name begins at the byte `start`, and its value at `value`.
    pub fn push(&mut self, name: &[u8], start: usize, value: usize, value_len: usize) {
        self.push_line(name, start, value, value_len, 0);
    }

    /// All fields are lines, one behind the other, from `start` to the byte before `end`.
    pub fn are_lines(&mut self, start: usize, end: usize) {
        self.lines = Some((start as u32, end as u32));
    }

    /// A field that is a line of HTTP/1, which goes on to the byte before `end`. Lines that follow each other are
    /// written as they came, by one copy.
    #[inline]
    pub fn push_line(
        &mut self,
        name: &[u8],
        start: usize,
        value: usize,
        value_len: usize,
        end: usize,
    ) -> Key {
        debug_assert!(value + value_len <= MOST && end <= MOST);
        let key = Key::of(name);
        self.keys.add(key);
        self.lists.fields.push(Field {
            start: start as u32,
            value: value as u32,
            value_len: value_len as u32,
            end: end as u32,
            key,
        });
        key
    }
}
