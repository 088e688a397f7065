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

impl Spare {
    /// Counts a buffer in, if there is room for it.
    fn admit(&mut self, capacity: usize) -> bool {
        let room = capacity > 0 && self.capacity + capacity <= KEPT;
        if room {
            self.capacity += capacity;
        }
        room
    }
}

/// Runs `work` on this thread's spare buffers; without result when the thread is ending, and they are gone.
fn with_spare<T>(work: impl FnOnce(&mut Spare) -> T) -> Option<T> {
    SPARE.try_with(|spare| work(&mut spare.borrow_mut())).ok()
}

/// An empty buffer to read into.
pub fn take_read() -> BytesMut {
    let spare = with_spare(|spare| {
        let buffer = spare.read.pop()?;
        spare.capacity -= buffer.capacity();
        Some(buffer)
    });
    spare
        .flatten()
        .unwrap_or_else(|| BytesMut::with_capacity(SMALL))
}

/// Gives back a buffer with nothing in it; it is kept unless parts of it are still in use elsewhere.
pub fn give_read(mut buffer: BytesMut) {
    debug_assert!(buffer.is_empty());
    if buffer.try_reclaim(SMALL) {
        with_spare(|spare| {
            if spare.admit(buffer.capacity()) {
                spare.read.push(buffer);
            }
        });
    }
}

/// An empty buffer to write from.
pub fn take_write() -> Vec<u8> {
    let spare = with_spare(|spare| {
        let buffer = spare.write.pop()?;
        spare.capacity -= buffer.capacity();
        Some(buffer)
    });
    spare.flatten().unwrap_or_else(|| Vec::with_capacity(WRITE))
}

/// Gives back a buffer whose content was written.
pub fn give_write(mut buffer: Vec<u8>) {
    buffer.clear();
    with_spare(|spare| {
        if spare.admit(buffer.capacity()) {
            spare.write.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> (usize, usize, usize) {
        SPARE.with_borrow(|spare| (spare.read.len(), spare.write.len(), spare.capacity))
    }

    #[test]
    fn buffers_come_back_unless_they_are_in_use() {
        let mut buffer = take_read();
        buffer.extend_from_slice(b"head");
        let in_use = buffer.split().freeze();
        give_read(buffer);
        assert_eq!(kept(), (0, 0, 0));
        drop(in_use);
        let mut buffer = take_read();
        buffer.extend_from_slice(b"head");
        drop(buffer.split());
        give_read(buffer);
        give_write(take_write());
        give_write(Vec::new());
        let (read, write, capacity) = kept();
        assert_eq!((read, write), (1, 1));
        assert!(capacity >= SMALL + WRITE);
        drop((take_read(), take_write()));
        assert_eq!(kept(), (0, 0, 0));
    }

    #[test]
    fn not_more_is_kept_than_is_good() {
        for _ in 0..1000 {
            give_read(BytesMut::with_capacity(LARGE));
            give_write(Vec::with_capacity(LARGE));
        }
        assert!(kept().2 <= KEPT);
    }

    /// A connection may be dropped by what a thread keeps for itself, when the thread ends.
    #[test]
    fn a_thread_that_ends_takes_buffers_all_the_same() {
        struct Late(Option<BytesMut>);
        impl Drop for Late {
            fn drop(&mut self) {
                give_read(self.0.take().unwrap_or_default());
                give_write(take_write());
                drop(take_read());
            }
        }
        thread_local!(static LATE: RefCell<Late> = const { RefCell::new(Late(None)) });
        let thread = std::thread::spawn(|| {
            LATE.with_borrow_mut(|late| late.0 = Some(BytesMut::new()));
            LATE.with_borrow_mut(|late| late.0 = Some(take_read()));
        });
        thread.join().unwrap();
    }
}
