//! Where the concurrent parts take their tools from, so that a test can put others in their place.

pub use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
