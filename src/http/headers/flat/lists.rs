//! The lists of a head's fields, which a thread keeps for its next heads.

use std::cell::RefCell;

use super::field::Field;

#[derive(Clone, Default)]
pub(super) struct Lists {
    pub fields: Vec<Field>,
    /// Fields added since, a line each.
    pub added: Vec<u8>,
}

/// Room for a usual head, and for the handful of fields that forwarding adds.
const FIELDS_ROOM: usize = 24;
const ADDED_ROOM: usize = 256;

/// Lists that a thread keeps for the next heads, and how large they may have grown.
const KEPT: usize = 64;
const KEPT_FIELDS: usize = 128;
const KEPT_ADDED: usize = 4 << 10;

thread_local! {
    #[expect(clippy::vec_box, reason = "a head takes its lists by their box")]
    static SPARE: RefCell<Vec<Box<Lists>>> = const { RefCell::new(Vec::new()) };
}

/// Does `with` the spare lists; nothing when the thread is ending and has none any more.
fn with_spare<T>(with: impl FnOnce(&mut Vec<Box<Lists>>) -> T) -> Option<T> {
    SPARE.try_with(|spare| with(&mut spare.borrow_mut())).ok()
}

impl Lists {
    pub const EMPTY: &Lists = &Lists {
        fields: Vec::new(),
        added: Vec::new(),
    };

    pub fn take() -> Box<Self> {
        with_spare(Vec::pop).flatten().unwrap_or_else(|| {
            Box::new(Lists {
                fields: Vec::with_capacity(FIELDS_ROOM),
                added: Vec::with_capacity(ADDED_ROOM),
            })
        })
    }

    pub fn give(mut self: Box<Self>) {
        if self.fields.capacity() <= KEPT_FIELDS && self.added.capacity() <= KEPT_ADDED {
            self.fields.clear();
            self.added.clear();
            with_spare(|spare| {
                if spare.len() < KEPT {
                    spare.push(self);
                }
            });
        }
    }
}
