//! `[process]`: how many workers there are, and which one this thread is.

use std::cell::Cell;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::value::problem::Problems;

mod cpus;
pub mod descriptors;
pub mod load;
pub(crate) mod pages;

/// `[process]`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Worker threads. Default: the cgroup's CPU quota rounded up, at most the cores. Changing it needs a restart.
    pub workers: Option<usize>,
}

/// More threads than any machine has use for.
const MOST_WORKERS: usize = 1024;

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if self.workers == Some(0) {
            problems
                .error(&["workers"], "there must be at least one worker")
                .help("leave it out to have as many as the CPU quota allows");
        }
        if self.workers.is_some_and(|workers| workers > MOST_WORKERS) {
            problems
                .error(
                    &["workers"],
                    format!("there may be at most {MOST_WORKERS} workers"),
                )
                .help("leave it out to have as many as the CPU quota allows");
        }
    }

    pub fn with_defaults(self) -> Self {
        Config {
            workers: Some(self.workers()),
        }
    }

    /// How many workers there are to be.
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(cpus::available)
    }
}

thread_local! {
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

static COUNT: OnceLock<usize> = OnceLock::new();

/// Index of the worker that this thread is; 0 on a thread that is none.
pub fn current_worker() -> usize {
    this_worker().unwrap_or(0)
}

/// Index of the worker that this thread is, if it is one. The bridge to message brokers counts as one more, behind the
/// last: it has connections to upstreams, too.
pub fn this_worker() -> Option<usize> {
    CURRENT.get()
}

/// How many workers there are.
pub fn worker_count() -> usize {
    COUNT.get().copied().unwrap_or(1)
}

/// Fixes the number of workers; to be called once, before anything is kept by worker.
pub fn fix_worker_count(count: usize) {
    COUNT.get_or_init(|| count);
}

/// The length of what is kept by worker: one for each, and one for the bridge.
pub fn keeper_count() -> usize {
    worker_count() + 1
}

/// Makes this thread the worker `index`.
pub fn become_worker(index: usize) {
    CURRENT.set(Some(index));
}

/// Makes this thread the bridge to message brokers.
pub fn become_bridge() {
    CURRENT.set(Some(worker_count()));
}

pub fn is_bridge() -> bool {
    this_worker() == Some(worker_count())
}
