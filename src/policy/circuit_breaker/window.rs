//! Requests and failures of the last so many seconds, counted in slots of a tenth of that.

use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, PoisonError};

/// More than ten, so that a slot which is written late is none that is being read.
const SLOTS: usize = 16;
const SLOTS_IN_WINDOW: u64 = 10;

#[derive(Default)]
pub struct Window {
    slots: [Slot; SLOTS],
    current: AtomicUsize,
    turning: Mutex<()>,
}

#[derive(Default)]
struct Slot {
    /// In milliseconds. A slot knows its own time, so a window of another length can still make use of it.
    began: AtomicU64,
    /// Requests in the low half, failures among them in the high one.
    counts: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub failures: u64,
}

impl Window {
    /// Counts a request. One that began before the current slot counts there all the same.
    pub fn add(&self, now: u64, window: u64, failed: bool) {
        let length = (window / SLOTS_IN_WINDOW).max(1);
        let mut current = self.current.load(Ordering::Relaxed);
        if now >= self.ends(current, length) {
            current = self.turn(now, length);
        }
        let count = 1 | u64::from(failed) << 32;
        self.slots[current]
            .counts
            .fetch_add(count, Ordering::Relaxed);
    }

    /// What was counted in the `window` milliseconds before `now`.
    pub fn counts(&self, now: u64, window: u64) -> Counts {
        let since = now.saturating_sub(window);
        let mut sum = Counts::default();
        for slot in &self.slots {
            if slot.began.load(Ordering::Relaxed) >= since {
                let counts = slot.counts.load(Ordering::Relaxed);
                sum.requests += counts & u64::from(u32::MAX);
                sum.failures += counts >> 32;
            }
        }
        sum
    }

    pub fn clear(&self) {
        for slot in &self.slots {
            slot.counts.store(0, Ordering::Relaxed);
        }
    }

    fn turn(&self, now: u64, length: u64) -> usize {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current.load(Ordering::Relaxed);
        if now < self.ends(current, length) {
            // Another thread was faster.
            return current;
        }
        let next = (current + 1) % SLOTS;
        self.slots[next].counts.store(0, Ordering::Relaxed);
        self.slots[next].began.store(now, Ordering::Relaxed);
        self.current.store(next, Ordering::Relaxed);
        next
    }

    fn ends(&self, slot: usize, length: u64) -> u64 {
        self.slots[slot].began.load(Ordering::Relaxed) + length
    }
}
