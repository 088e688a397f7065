//! What a check has opened.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// What was read from the files that a block names, when the block was checked: what serves is what was checked,
/// even if the files change in between. It is no part of what the operator wrote.
pub struct Opened<T>(Arc<OnceLock<Arc<T>>>);

impl<T> Opened<T> {
    /// What was opened; none before the check, and when it found an error.
    pub fn get(&self) -> Option<&Arc<T>> {
        self.0.get()
    }

    pub fn set(&self, value: T) {
        // Whoever checks a block twice finds the same.
        let _ = self.0.set(Arc::new(value));
    }
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Opened(Arc::default())
    }
}

impl<T> Clone for Opened<T> {
    fn clone(&self) -> Self {
        Opened(self.0.clone())
    }
}

impl<T> PartialEq for Opened<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}
