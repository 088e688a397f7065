//! Hearing that somebody has written to the file of a database.
//!
//! SQLite tells nobody. That the file or its log has changed is seen without a lock, and costs less than any statement; who else
//! writes is not held up by it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::database::{Failure, Listening, Notification};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// After so many looks at which nothing has changed a change is told of again: what a transaction has written is there before it
/// counts, and in between the disk may take its time.
const AGAIN: [u32; 4] = [1, 5, 25, 125];

/// Looks at the file on a thread of its own, until this is dropped.
pub(super) struct Changes {
    told: mpsc::Receiver<()>,
    _ends: Sender<()>,
}

impl Changes {
    /// What has happened before the first look is told by it.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn of(path: &Path) -> io::Result<Self> {
        let (tells, told) = mpsc::channel(1);
        let (ends, ended) = channel();
        let path = path.to_owned();
        let look = move || look(&path, &tells, &ended);
        thread::Builder::new()
            .name("sqlite-changes".to_owned())
            .spawn(look)?;
        Ok(Changes { told, _ends: ends })
    }
}

impl Listening for Changes {
    fn next(&mut self) -> BoxFuture<'_, Result<Notification, Failure>> {
        async {
            let told = self.told.recv().await;
            let over = || Failure::Unavailable("nobody looks at the file any more".to_owned());
            told.ok_or_else(over)?;
            Ok(Notification {
                channel: String::new(),
                payload: String::new(),
            })
        }
        .boxed()
    }
}

fn look(path: &Path, tells: &mpsc::Sender<()>, ended: &Receiver<()>) {
    let (mut seen, mut since) = (None, 0_u32);
    loop {
        let now = Stamps::of(path);
        if seen == Some(now) {
            since = since.saturating_add(1);
        } else {
            (seen, since) = (Some(now), 0);
        }
        if since == 0 || AGAIN.contains(&since) {
            // One that was not heard yet tells of this as well.
            let _full = tells.try_send(());
        }
        if ended.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// What changes with each transaction: in the file itself, or in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamps([Option<Stamp>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamps {
    fn of(path: &Path) -> Self {
        // The log is beside the file, and not beside a link to it.
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut log = file.clone().into_os_string();
        log.push("-wal");
        Stamps([Stamp::of(&file), Stamp::of(&PathBuf::from(log))])
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn each_kind_of_log_tells_of_a_transaction() {
        for mode in ["wal", "delete", "truncate", "persist"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.db");
            let connection = Connection::open(&path).unwrap();
            connection
                .pragma_update(None, "journal_mode", mode)
                .unwrap();
            connection.execute_batch("create table t (a)").unwrap();
            let before = Stamps::of(&path);
            assert_eq!(Stamps::of(&path), before, "{mode}");
            // Until the clock of the file system has gone on.
            let is_seen = (0..10_000).any(|_| {
                let written = connection.execute_batch("insert into t values (1)");
                written.is_ok() && Stamps::of(&path) != before
            });
            assert!(is_seen, "{mode}");
        }
    }

    #[tokio::test]
    async fn what_changes_is_told_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut changes = Changes::of(&path).unwrap();
        for _ in 0..=AGAIN.len() {
            changes.next().await.unwrap();
        }
        assert!(changes.next().now_or_never().is_none());
        fs::write(&path, "x").unwrap();
        changes.next().await.unwrap();
    }
}
