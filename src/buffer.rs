//! Buffers, held only while a message is under way.
//!
//! Each worker keeps a few for the next message, so a kept-alive connection without a request holds none.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

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
    write: Vec<Vec<u8>>,
    /// Capacity of the buffers to write from.
    written: usize,
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
        // The newest is still in the cache, where its parts are not in use; those of the oldest hardly ever are.
        if spare.read.back_mut()?.try_reclaim(SMALL) {
            return spare.read.pop_back();
        }
        let mut oldest = spare.read.pop_front()?;
        oldest.try_reclaim(SMALL).then_some(oldest)
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
