//! Buffers, held only while a message is under way.
//!
//! Each worker keeps a few for the next message, so a kept-alive connection without a request holds none.

use std::cell::RefCell;

use bytes::BytesMut;

/// A fresh buffer's capacity: room for a usual head and a body of 16 KiB in one read. Only the pages that are
/// read into take memory. It is no multiple of a page, or the beginnings of all buffers would compete for the
/// same few lines of the cache.
pub const SMALL: usize = (18 << 10) + 576;
/// The largest capacity to which a buffer grows for a body: what one read takes at most.
pub const LARGE: usize = 64 << 10;
/// Capacity of a fresh buffer to write from: several heads.
const WRITE: usize = 2 << 10;
/// Capacity that a worker keeps at most, over all its spare buffers.
const KEPT: usize = 2 << 20;

#[derive(Default)]
struct Spare {
    read: Vec<BytesMut>,
    write: Vec<Vec<u8>>,
    capacity: usize,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// An empty buffer to read into.
pub fn take_read() -> BytesMut {
    SPARE.with_borrow_mut(|spare| match spare.read.pop() {
        Some(buffer) => {
            spare.capacity -= buffer.capacity();
            buffer
        }
        None => BytesMut::with_capacity(SMALL),
    })
}

/// Gives back a buffer with nothing in it; it is kept unless parts of it are still in use elsewhere.
pub fn give_read(mut buffer: BytesMut) {
    debug_assert!(buffer.is_empty());
    if buffer.try_reclaim(SMALL) {
        SPARE.with_borrow_mut(|spare| {
            if spare.capacity + buffer.capacity() <= KEPT {
                spare.capacity += buffer.capacity();
                spare.read.push(buffer);
            }
        });
    }
}

/// An empty buffer to write from.
pub fn take_write() -> Vec<u8> {
    SPARE.with_borrow_mut(|spare| match spare.write.pop() {
        Some(buffer) => {
            spare.capacity -= buffer.capacity();
            buffer
        }
        None => Vec::with_capacity(WRITE),
    })
}

/// Gives back a buffer whose content was written.
pub fn give_write(mut buffer: Vec<u8>) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if buffer.capacity() > 0 && spare.capacity + buffer.capacity() <= KEPT {
            spare.capacity += buffer.capacity();
            spare.write.push(buffer);
        }
    });
}
