//! By what it is seen that a file is still the same, and what of that its caller is told.
//!
//! The kernel writes the time of every change into a file, in ticks of a few milliseconds, and nobody can set it. What was
//! changed before the present tick will therefore show any later change, and its tag may be a strong one.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;
use rustix::time::{ClockId, clock_gettime};

use crate::http::semantics::conditional::{EntityTag, Validators};

/// A file that goes out in more than one piece is taken for one that nobody is writing to once it was left alone for so
/// long. Any later change ends an answer that has told a strong tag.
const QUIET: Duration = Duration::from_secs(2);
/// The same where the time of a change is told by another machine's clock.
const QUIET_ELSEWHERE: Duration = Duration::from_secs(60);

/// A file's content at one time: the same bytes as long as it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    inode: u64,
    pub size: u64,
    /// Since 1970; of content and what belongs to it.
    changed: Duration,
    /// Since 1970; whoever owns the file may set it.
    modified: Duration,
}

/// How sure it must be that a file does not change unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// It is read in one go, and looked at before and behind that.
    AtOnce,
    /// It takes a while until all of it is sent.
    InPieces,
}

impl State {
    pub fn of(stat: &Stat) -> Self {
        let time = |seconds: i64, nanos: u64| {
            let seconds = u64::try_from(seconds).unwrap_or_default();
            Duration::from_secs(seconds) + Duration::from_nanos(nanos)
        };
        State {
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    /// What tells it. `clock` was read before the file was looked at.
    pub fn validators(&self, clock: Clock, care: Care, is_local: bool) -> Validators {
        let age = clock.0.checked_sub(self.changed).unwrap_or_default();
        let strong = match (is_local, care) {
            (true, Care::AtOnce) => age > Duration::ZERO,
            (true, Care::InPieces) => age >= QUIET,
            (false, _) => age >= QUIET_ELSEWHERE,
        };
        Validators {
            tag: self.tag(!strong),
            // Never later than the answer itself (RFC 9110, section 8.8.2.1).
            modified: UNIX_EPOCH + self.modified.min(clock.0),
        }
    }

    /// Its tag.
    pub fn tag(&self, weak: bool) -> EntityTag {
        let mut opaque = String::with_capacity(52);
        let (time, size, inode) = (self.changed.as_nanos(), self.size, self.inode);
        let _infallible = write!(opaque, "\"{time:x}-{size:x}-{inode:x}\"");
        EntityTag { weak, opaque }
    }

    /// Whether any change after `clock` would show.
    pub fn is_before(&self, clock: Clock) -> bool {
        self.changed < clock.0
    }

    pub fn modified(&self) -> SystemTime {
        UNIX_EPOCH + self.modified
    }

    /// Whether it was modified before the other was.
    pub fn is_older_than(&self, other: &State) -> bool {
        self.modified < other.modified
    }
}

/// The time with which the kernel marks what changes now, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Clock(Duration);

impl Clock {
    pub fn read() -> Self {
        let now = clock_gettime(ClockId::RealtimeCoarse);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
        Clock(Duration::new(seconds, nanos))
    }

    /// Since 1970.
    pub fn seconds(self) -> u64 {
        self.0.as_secs()
    }
}
