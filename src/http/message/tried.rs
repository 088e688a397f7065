//! Where a request has been.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Endpoints remembered; of a request that has been to more, the latest.
const REMEMBERED: usize = 4;

/// The endpoints that a request was sent to, over all its attempts. They are known by a number each.
#[derive(Debug, Default)]
pub struct Tried {
    latest: [AtomicU64; REMEMBERED],
    count: AtomicUsize,
}

impl Tried {
    pub fn note(&self, endpoint: u64) {
        let nth = self.count.fetch_add(1, Ordering::Relaxed);
        self.latest[nth % REMEMBERED].store(endpoint, Ordering::Relaxed);
    }

    pub fn has(&self, endpoint: u64) -> bool {
        let count = self.count().min(REMEMBERED);
        let mut latest = self.latest[..count].iter();
        latest.any(|tried| tried.load(Ordering::Relaxed) == endpoint)
    }

    /// How often it was sent.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let tried = Tried::default();
        assert!(!tried.has(0), "an empty place is no endpoint");
        (1..=5).for_each(|endpoint| tried.note(endpoint));
        assert_eq!(tried.count(), 5);
        assert!(!tried.has(1));
        assert!((2..=5).all(|endpoint| tried.has(endpoint)));
    }
}
