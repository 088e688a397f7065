//! Where one field stands.

use super::super::names::Key;

/// Where a field stands: in `received`, or, with [`ADDED`] set in its start, in `added`.
#[derive(Clone, Copy)]
pub(in crate::http::headers) struct Field {
    pub(super) start: u32,
    pub(super) value: u32,
    pub(super) value_len: u32,
    /// Behind the end of its line; 0 where its block has it in another form.
    pub(super) end: u32,
    pub(super) key: Key,
}

pub(super) const ADDED: u32 = 1 << 31;
/// The most bytes of a block, so that no place in it looks like one with [`ADDED`].
pub(in crate::http::headers) const MOST: usize = ADDED as usize - 1;

impl Field {
    pub(super) fn is_added(&self) -> bool {
        self.start & ADDED != 0
    }

    /// What is left of received lines without this one, where that is still one run.
    pub(super) fn cut_from(&self, (start, end): (u32, u32)) -> Option<(u32, u32)> {
        if self.start == start {
            Some((self.end, end))
        } else if self.end == end {
            Some((start, self.start))
        } else {
            None
        }
    }

    pub(super) fn name<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let start = (self.start & !ADDED) as usize;
        &self.block(received, added)[start..start + self.key.length()]
    }

    pub(super) fn value<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        let start = self.value as usize;
        &self.block(received, added)[start..start + self.value_len as usize]
    }

    fn block<'a>(&self, received: &'a [u8], added: &'a [u8]) -> &'a [u8] {
        match self.start & ADDED {
            0 => received,
            _ => added,
        }
    }
}
