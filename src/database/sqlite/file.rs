//! The file of a database, opened where it is needed, and anew when there is another one in its place.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::error::{Trouble, judge};
use super::ticket::{Ticket, Watch};
use super::url::{Access, Place};
use crate::database::Failure;
use crate::database::down::Down;

/// Statements that a connection keeps prepared.
const PREPARED: usize = 64;
/// The largest value that may be in memory, whether it is of a row or made on the way to one.
const LARGEST_VALUE: i32 = 64 << 20;
/// Between two looks at a ticket, in steps of SQLite's machine: well below a millisecond.
const STEPS: i32 = 4000;
/// How long undoing may wait for a lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// What opening a file takes.
pub(super) struct Way {
    pub place: Place,
    pub prepares: bool,
    pub connect_timeout: Duration,
    pub down: Down,
}

/// A file, and the connection to it, where it is open.
pub(super) struct File {
    pub way: Arc<Way>,
    open: Option<(Connection, Identity)>,
    watch: Watch,
}

/// Which file it is that a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Identity {
            device: found.dev(),
            inode: found.ino(),
        })
    }
}

impl File {
    pub fn new(way: Arc<Way>) -> Self {
        File {
            way,
            open: None,
            watch: Watch::default(),
        }
    }

    /// Uses the connection, under a ticket. Within a transaction it is the one that it was begun on; else one to the file that
    /// is there now.
    ///
    /// # Errors
    /// When there is none.
    pub fn under<T>(
        &mut self,
        ticket: &Arc<Ticket>,
        use_it: impl FnOnce(&Connection) -> T,
    ) -> Result<T, Failure> {
        let is_free = |(connection, _): &mut (Connection, Identity)| connection.is_autocommit();
        if let Some((connection, identity)) = self.open.take_if(is_free) {
            // One that was unlinked, or replaced, is read and written by nobody else any more.
            let found = Identity::of(&self.way.place.path);
            if found.is_ok_and(|found| found == identity) {
                self.open = Some((connection, identity));
            }
        }
        let (connection, _) = match self.open.take() {
            Some(open) => self.open.insert(open),
            None => {
                let open = self.open(ticket)?;
                self.open.insert(open)
            }
        };
        let _running = self.watch.begin(ticket, connection);
        Ok(use_it(connection))
    }

    /// Undoes what is open.
    pub fn rest(&mut self) {
        let ticket = Ticket::new(Instant::now() + PATIENCE);
        let watch = self.watch.clone();
        let is_left_open = |(connection, _): &mut (Connection, Identity)| {
            if connection.is_autocommit() {
                return false;
            }
            let _running = watch.begin(&ticket, connection);
            let undone = connection.execute_batch("ROLLBACK");
            undone.is_err() && !connection.is_autocommit()
        };
        // Closing it does the same.
        drop(self.open.take_if(is_left_open));
    }

    /// The next one who needs it opens it anew.
    pub fn close(&mut self) {
        self.open = None;
    }

    fn open(&self, ticket: &Arc<Ticket>) -> Result<(Connection, Identity), Failure> {
        let down = &self.way.down;
        down.may_try(self.way.connect_timeout)?;
        let opened = open(&self.way, &self.watch, ticket);
        match opened {
            Ok(open) => {
                down.connected();
                Ok(open)
            }
            // It is there, and in use.
            Err(Trouble {
                failure: failure @ (Failure::Locked | Failure::Timeout(_)),
                ..
            }) => {
                down.connected();
                Err(failure)
            }
            Err(trouble) => Err(down.failed(why(&self.way.place, &trouble))),
        }
    }
}

/// Opens the file, and reads its head, so that what is no database is found out.
fn open(way: &Way, watch: &Watch, ticket: &Arc<Ticket>) -> Result<(Connection, Identity), Trouble> {
    let wrong = |error: rusqlite::Error| judge(&error);
    let place = &way.place;
    // A connection belongs to its thread; of another one it is only ever interrupted.
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX
        | match place.access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
    // Looked at before it is opened: one that is replaced in between is opened anew by the next one who needs it.
    let before = Identity::of(&place.path);
    let mut connection = if place.immutable {
        let flags = flags | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(immutable(&place.path), flags)
    } else {
        Connection::open_with_flags(&place.path, flags)
    }
    .map_err(wrong)?;
    settle(&mut connection, way, watch).map_err(wrong)?;
    let read = {
        let _running = watch.begin(ticket, &connection);
        connection.query_row("pragma schema_version", [], |_| Ok(()))
    };
    read.map_err(wrong)?;
    let identity = before.or_else(|_| Identity::of(&place.path));
    Ok((
        connection,
        identity.map_err(|error| Trouble::of_io(&error))?,
    ))
}

fn settle(connection: &mut Connection, way: &Way, watch: &Watch) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(if way.prepares { PREPARED } else { 0 });
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // No statement writes what SQLite keeps for itself, as a schema or the tables of an index for words.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, LARGEST_VALUE)?;
    let watched = watch.clone();
    connection.progress_handler(STEPS, Some(move || watched.is_over()))?;
    let watched = watch.clone();
    connection.busy_handler(Some(move |times| wait(&watched, times)))
}

/// Waits for a lock, some milliseconds at a time. False when it was waited for long enough.
fn wait(watch: &Watch, times: i32) -> bool {
    const LONGEST: u64 = 20;
    let step = Duration::from_millis(u64::try_from(times).unwrap_or(LONGEST).clamp(1, LONGEST));
    watch.wait(step)
}

/// The path as SQLite takes it with parameters.
fn immutable(path: &Path) -> String {
    const SET: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');
    use std::os::unix::ffi::OsStrExt;
    let path = percent_encode(path.as_os_str().as_bytes(), SET);
    format!("file:{path}?immutable=1")
}

/// Why a file cannot be used, for operators. Its path is a part of a secret.
fn why(place: &Place, trouble: &Trouble) -> String {
    let code = trouble.told.as_deref().unwrap_or("it cannot be opened");
    match fs::metadata(&place.path) {
        Ok(found) if !found.is_file() => "what the URL leads to is no file".to_owned(),
        Ok(_) => code.to_owned(),
        Err(error) => match error.kind() {
            ErrorKind::NotFound if place.access == Access::Create => {
                format!("the file cannot be made: {code}")
            }
            ErrorKind::NotFound => {
                "there is no such file: with `?mode=rwc` in its URL it is made".to_owned()
            }
            _ => format!("the file cannot be reached: {}", error.kind()),
        },
    }
}
