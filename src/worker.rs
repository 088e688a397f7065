//! One thread with its own runtime, listening sockets and upstream connections.

use std::cell::Cell;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// `[process]`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Worker threads. Default: the cgroup's CPU quota rounded up, at most the cores.
    pub workers: Option<usize>,
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

static COUNT: OnceLock<usize> = OnceLock::new();

/// Index of the worker that this thread is; 0 on a thread that is none.
pub fn current() -> usize {
    CURRENT.get()
}

/// How many workers there are: the length of what is kept by worker.
pub fn count() -> usize {
    COUNT.get().copied().unwrap_or(1)
}
