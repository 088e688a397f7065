//! Tells that files may have changed: the config, and all that it names.
//!
//! Directories are watched, never files: an editor saves by renaming a new file over the old one, and Kubernetes
//! swaps a symlink; both times whoever watches the file holds on to one that nobody sees any more. Any event counts
//! that concerns a name on the way to one of the files, and whoever is told decides by content whether something
//! changed. A false alarm costs one more reading. A change that is missed is served stale for ever: hence the poll.

mod directories;
mod kernel;
mod stamps;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub use directories::is_config;

use directories::Places;
use kernel::{Kernel, Start};
use stamps::Stamps;

/// How long nothing more must happen before a change is told: the writing is over then.
const QUIET: Duration = Duration::from_millis(250);
/// The longest that a change is kept back by others that follow it.
const LONGEST: Duration = Duration::from_secs(2);
/// The second door, for file systems that tell nothing (NFS, FUSE) and for a kernel that has no watch left to give.
const POLL: Duration = Duration::from_secs(30);
/// How often the directories are looked up again because a symlink moved while they were being watched.
const ROUNDS: usize = 3;

/// A watch over files and directories. The kernel's watches end with it.
///
/// Its methods make a few file system calls, which may never return: keep it on a thread of its own.
pub struct Watch {
    paths: Vec<PathBuf>,
    kernel: Kernel,
    /// What the poll compares with.
    seen: Stamps,
    /// What has happened and is not told yet.
    burst: Option<Burst>,
    next_poll: Instant,
}

impl Watch {
    /// Watches `paths`, files or directories, which need not exist yet.
    ///
    /// Never fails: where the kernel watches nothing, that is logged, and the poll alone finds changes.
    pub fn new(paths: &[PathBuf]) -> Self {
        Self::with(paths, Box::new(kernel::start))
    }

    fn with(paths: &[PathBuf], start: Start) -> Self {
        let mut watch = Watch {
            paths: Vec::new(),
            kernel: Kernel::new(start),
            seen: Stamps::default(),
            burst: None,
            next_poll: Instant::now() + POLL,
        };
        watch.set_paths(paths);
        watch
    }

    /// Watches `paths` from now on, and nothing else.
    ///
    /// Where they are not those of before, a change is told once: between being read and being watched, they may
    /// have changed.
    pub fn set_paths(&mut self, paths: &[PathBuf]) {
        if self.paths == paths {
            return;
        }
        self.paths = paths.to_vec();
        self.refresh();
        self.happened();
    }

    /// Completes when something may have changed, once for all that happens together.
    ///
    /// Dropping the future loses nothing: the next call tells what this one would have told.
    pub async fn changed(&mut self) {
        loop {
            let wake = self.burst.as_ref().map_or(self.next_poll, Burst::end);
            tokio::select! {
                // Events that never stop must not hold back what they began.
                biased;
                () = sleep_until(wake) => {
                    self.next_poll = Instant::now() + POLL;
                    if self.burst.take().is_some() {
                        self.refresh();
                        return;
                    }
                    if self.poll() {
                        self.happened();
                    }
                }
                () = self.kernel.happened() => self.happened(),
            }
        }
    }

    fn happened(&mut self) {
        let now = Instant::now();
        let burst = self.burst.get_or_insert(Burst {
            first: now,
            last: now,
        });
        burst.last = now;
    }

    /// Says whether the files differ from those last seen, or may do so unseen.
    ///
    /// While they do not, the directories that are watched are still those that matter, and are left alone.
    fn poll(&mut self) -> bool {
        let differs = Stamps::of(&self.paths) != self.seen;
        if differs || self.kernel.misses_some() {
            return self.refresh() || differs;
        }
        false
    }

    /// Watches the directories that matter by now, and says whether the files differ from those last seen.
    ///
    /// In this order: a change before the look differs, one after it finds the kernel watching.
    fn refresh(&mut self) -> bool {
        let mut places = Places::of(&self.paths);
        for _ in 0..ROUNDS {
            self.kernel.watch(&places);
            let again = Places::of(&self.paths);
            if again == places {
                break;
            }
            places = again;
        }
        let stamps = Stamps::of(&self.paths);
        let differs = stamps != self.seen;
        self.seen = stamps;
        differs
    }
}

/// Events so close together that they are told as one.
struct Burst {
    first: Instant,
    last: Instant,
}

impl Burst {
    fn end(&self) -> Instant {
        (self.last + QUIET).min(self.first + LONGEST)
    }
}
