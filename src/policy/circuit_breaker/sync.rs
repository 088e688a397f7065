//! Where the concurrent parts take their tools from, so that a test can put others in their place.

pub use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Mutex, MutexGuard, PoisonError};
