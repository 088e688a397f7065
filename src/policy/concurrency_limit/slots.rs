//! Requests at once.

use super::sync::{AtomicU32, Ordering};

/// Requests that were let in and are not over, of every config that the route has had.
#[derive(Default)]
pub struct Slots(AtomicU32);

impl Slots {
    /// Lets a request in while there are fewer than `limit`; says how many there are with it.
    pub fn take(&self, limit: u32) -> Option<u32> {
        let one_more = |taken| (taken < limit).then_some(taken + 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let before = self.0.fetch_update(set, fetch, one_more).ok()?;
        Some(before + 1)
    }

    pub fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn taken(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}
