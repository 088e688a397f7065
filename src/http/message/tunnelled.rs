//! What passes through a connection that has changed its protocol.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes behind the heads, each way.
#[derive(Debug, Default)]
pub struct Tunnelled {
    from_caller: AtomicU64,
    to_caller: AtomicU64,
}

impl Tunnelled {
    pub fn count_from_caller(&self, bytes: usize) {
        self.from_caller.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn count_to_caller(&self, bytes: usize) {
        self.to_caller.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn from_caller(&self) -> u64 {
        self.from_caller.load(Ordering::Relaxed)
    }

    pub fn to_caller(&self) -> u64 {
        self.to_caller.load(Ordering::Relaxed)
    }
}
