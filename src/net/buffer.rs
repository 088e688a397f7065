//! Buffers, held only while a message is under way.
//!
//! Each worker keeps a few for the next message, as long as it has use for them, so a kept-alive connection without a
//! request holds none.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

use crate::net::spare::LowWaterMark;

/// A fresh buffer's capacity: room for a usual head and a body of 16 KiB in one read. Only the pages that are
/// read into take memory. It is no multiple of a page, or the beginnings of all buffers would compete for the
/// same few lines of the cache.
pub const SMALL: usize = (18 << 10) + 576;
/// The largest capacity to which a buffer grows for a body: what one read takes at most.
pub const LARGE: usize = 64 << 10;
/// Capacity of a fresh buffer to write from: several heads.
const WRITE: usize = 2 << 10;
/// Capacity that a worker keeps at most, of buffers to read into and of those to write from.
const KEPT: usize = 2 << 20;

#[derive(Default)]
struct Spare {
    /// The oldest first.
    read: VecDeque<BytesMut>,
    low_water_read: LowWaterMark,
    write: Vec<Vec<u8>>,
    low_water_write: LowWaterMark,
    /// Capacity of the buffers to write from.
    written: usize,
}

impl Spare {
    fn take_read(&mut self) -> Option<BytesMut> {
        // The newest is still in the cache, where its parts are not in use; those of the oldest hardly ever are.
        if self.read.back_mut()?.try_reclaim(SMALL) {
            return self.read.pop_back();
        }
        let mut oldest = self.read.pop_front()?;
        oldest.try_reclaim(SMALL).then_some(oldest)
    }
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// Does `with` this thread's spare buffers; nothing when the thread is ending and has none any more.
fn with_spare<T>(with: impl FnOnce(&mut Spare) -> T) -> Option<T> {
    SPARE.try_with(|spare| with(&mut spare.borrow_mut())).ok()
}

/// An empty buffer to read into.
pub fn take_read() -> BytesMut {
    let spare = with_spare(|spare| {
        let taken = spare.take_read();
        spare.low_water_read.left(spare.read.len());
        taken
    });
    spare
        .flatten()
        .unwrap_or_else(|| BytesMut::with_capacity(SMALL))
}

/// Gives back a buffer of [`take_read`] with nothing in it. Parts that were split off may still be in use: then it can be taken again
/// once they are dropped.
pub fn give_read(buffer: BytesMut) {
    debug_assert!(buffer.is_empty());
    if buffer.capacity() > 0 {
        with_spare(|spare| {
            if spare.read.len() < KEPT / SMALL {
                spare.read.push_back(buffer);
            }
        });
    }
}

/// An empty buffer to write from.
pub fn take_write() -> Vec<u8> {
    let spare = with_spare(|spare| {
        let buffer = spare.write.pop()?;
        spare.low_water_write.left(spare.write.len());
        spare.written -= buffer.capacity();
        Some(buffer)
    });
    spare.flatten().unwrap_or_else(|| Vec::with_capacity(WRITE))
}

/// Gives back a buffer whose content was written.
pub fn give_write(mut buffer: Vec<u8>) {
    buffer.clear();
    with_spare(|spare| {
        if buffer.capacity() > 0 && spare.written + buffer.capacity() <= KEPT {
            spare.written += buffer.capacity();
            spare.write.push(buffer);
        }
    });
}

/// Drops what this worker had no use for since the last time.
pub fn trim() {
    with_spare(|spare| {
        let unused = spare.low_water_read.unused(spare.read.len());
        spare.read.drain(..unused);
        let unused = spare.low_water_write.unused(spare.write.len());
        let dropped = spare.write.drain(..unused);
        spare.written -= dropped.map(|buffer| buffer.capacity()).sum::<usize>();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_are_of_use_are_kept() {
        let kept =
            || with_spare(|spare| (spare.read.len(), spare.write.len(), spare.written)).unwrap();
        let read: Vec<_> = (0..9).map(|_| take_read()).collect();
        let write: Vec<_> = (0..9).map(|_| take_write()).collect();
        read.into_iter().for_each(give_read);
        write.into_iter().for_each(give_write);
        trim();
        assert_eq!(kept(), (9, 9, 9 * WRITE), "in use until now");
        for _ in 0..4 {
            let (read, write) = (take_read(), take_write());
            let others = (take_read(), take_write());
            give_read(read);
            give_write(write);
            give_read(others.0);
            give_write(others.1);
        }
        trim();
        assert_eq!(kept(), (2, 2, 2 * WRITE), "two at once were enough");
        trim();
        assert_eq!(kept(), (0, 0, 0));
    }
}
