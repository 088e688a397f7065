//! The directory whose files are served. It is held open, and nothing outside it is ever reached.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::fs::{
    Access, AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat, accessat, fstat, fstatfs, openat,
    openat2, stat,
};
use rustix::io::Errno;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::failure::{STORAGE_FAILED, STORAGE_TIMEOUT};
use super::state::Clock;
use super::walk;
use crate::http::error::{Error, OVERLOADED};

/// So many threads at the most wait for the disk of one route.
const PLACES: usize = 32;
/// How long a request waits for one of them.
const QUEUE: Duration = Duration::from_secs(30);
/// How long a single look at the disk, or a piece of a file, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The kernel asks for another try when something was renamed on the way.
const ATTEMPTS: usize = 64;

/// Locks for all paths of a route: two that share one wait for each other, and no more than that.
const LOCKS: usize = 64;
/// How many directories are remembered to which somebody has written.
const REMEMBERED: usize = 4096;

/// File systems of this machine: their times are those of its clock, and opening what the kernel has in memory waits for
/// nobody. ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, overlayfs, F2FS, ZFS, squashfs, EROFS, bcachefs.
const LOCAL: [u64; 11] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0x794c_7630,
    0xf2f5_2010,
    0x2fc1_2fc1,
    0x7371_7368,
    0xe0f5_e1e2,
    0xca45_1a4e,
];

/// The directory whose files are served.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    here: ArcSwap<Directory>,
    /// When it was last looked whether another one is there: seconds since 1970.
    looked: AtomicU64,
    places: Arc<Semaphore>,
    /// Who changes a file holds the lock of its path, one of these, while it looks and acts.
    locks: [Mutex<()>; LOCKS],
    /// Directories that somebody has written to.
    written: Mutex<HashSet<(u64, u64)>>,
}

/// A directory that is open.
#[derive(Debug)]
struct Directory {
    file: OwnedFd,
    /// Its device and number.
    id: (u64, u64),
    finds: Finds,
    is_local: bool,
}

/// Who sees to it that a path does not leave the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finds {
    /// The kernel, by openat2(2).
    Kernel,
    /// See [`walk`].
    Walk,
}

impl Root {
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Root {
            path: path.to_owned(),
            here: ArcSwap::from_pointee(Directory::open(path)?),
            looked: AtomicU64::new(Clock::read().seconds()),
            places: Arc::new(Semaphore::new(PLACES)),
            locks: [const { Mutex::new(()) }; LOCKS],
            written: Mutex::default(),
        })
    }

    /// The same where `finds` sees to it that a path does not leave it.
    #[cfg(test)]
    pub(super) fn found_by(path: &Path, finds: Finds) -> io::Result<Self> {
        let root = Root::open(path)?;
        let here = Directory {
            finds,
            ..Directory::open(path)?
        };
        root.here.store(Arc::new(here));
        Ok(root)
    }

    /// Opens the directory anew, once a second at the most, if another one is under its path by now: a link was swapped to
    /// a new release, or a volume mounted. What is under way stays with the old one.
    ///
    /// # Errors
    /// As [`Root::run`].
    pub(super) async fn renew(self: &Arc<Self>) -> Result<(), Error> {
        let now = Clock::read().seconds();
        let looked = self.looked.load(Ordering::Relaxed);
        let is_mine = || {
            let order = Ordering::Relaxed;
            self.looked
                .compare_exchange(looked, now, order, order)
                .is_ok()
        };
        if looked == now || !is_mine() {
            return Ok(());
        }
        let root = self.clone();
        self.run(PATIENCE, move || root.look()).await
    }

    fn look(&self) {
        let here = self.here.load().id;
        let is_other = |stat: Stat| (stat.st_dev, stat.st_ino) != here;
        // As long as there is none, the old one is better than nothing.
        if stat(&self.path).is_ok_and(is_other)
            && let Ok(other) = Directory::open(&self.path)
        {
            self.here.store(Arc::new(other));
        }
    }

    /// # Errors
    /// Why nothing can be made in it.
    pub(super) fn is_writable(&self) -> io::Result<()> {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        let here = self.here.load();
        Ok(accessat(&here.file, ".", access, AtFlags::EACCESS)?)
    }

    /// Whether the clock of its files is that of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.here.load().is_local
    }

    /// The lock of a path. It is held by threads that may wait for the disk, and by no other.
    pub(super) fn lock(&self, path: &[u8]) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        let place = hasher.finish() as usize % LOCKS;
        self.locks[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody has asked so of this directory, or not for a long time.
    pub(super) fn is_new(&self, directory: &OwnedFd) -> bool {
        let Ok(stat) = fstat(directory) else {
            return false;
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= REMEMBERED {
            written.clear();
        }
        written.insert((stat.st_dev, stat.st_ino))
    }

    /// Opens what is at `path`, names with slashes between them. It may wait for the disk.
    ///
    /// # Errors
    /// `EXDEV`: the path leaves the directory. Else why it cannot be opened.
    pub(super) fn find(&self, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let here = self.here.load_full();
        if here.finds == Finds::Walk {
            return walk::open(&here.file, path, flags, mode);
        }
        let mut attempts = 0;
        loop {
            match beneath(&here.file, path, flags, mode, ResolveFlags::empty()) {
                Err(Errno::AGAIN) if attempts < ATTEMPTS => attempts += 1,
                found => return Ok(found?),
            }
        }
    }

    /// The same where nothing has to be waited for. None: something may have to.
    pub(super) fn find_at_once(&self, path: &[u8], flags: OFlags) -> Option<io::Result<OwnedFd>> {
        let here = self.here.load();
        if !here.is_local || here.finds == Finds::Walk {
            return None;
        }
        let flags = flags | OFlags::CLOEXEC;
        match beneath(&here.file, path, flags, Mode::empty(), ResolveFlags::CACHED) {
            // `EINVAL`: kernels before 5.12 do not know the flag.
            Err(Errno::AGAIN | Errno::INVAL) => None,
            found => Some(found.map_err(io::Error::from)),
        }
    }

    /// Does `work` on a thread that may wait for the disk, for `limit` at the most.
    ///
    /// # Errors
    /// `overloaded` when too many wait, `storage_timeout` when it takes too long: it goes on, and nobody learns how it
    /// ended.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let place = timeout(QUEUE, self.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(Error::new(OVERLOADED, "too many wait for the disk"));
        };
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        match timeout(limit, done).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => {
                Err(Error::new(STORAGE_FAILED, "a fault of the proxy").because(panic))
            }
            Err(_) => Err(Error::new(STORAGE_TIMEOUT, "the disk does not answer")),
        }
    }
}

impl Directory {
    fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty())?;
        let itself = beneath(&file, b".", flags, Mode::empty(), ResolveFlags::empty());
        let finds = match itself {
            Err(Errno::NOSYS | Errno::PERM) => Finds::Walk,
            found => found.map(|_| Finds::Kernel)?,
        };
        let kind = fstatfs(&file)?.f_type;
        let found = fstat(&file)?;
        Ok(Directory {
            is_local: LOCAL.contains(&(kind as u64)),
            id: (found.st_dev, found.st_ino),
            file,
            finds,
        })
    }
}

fn beneath(
    directory: &OwnedFd,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    more: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
    openat2(directory, path, flags, mode, resolve)
}
