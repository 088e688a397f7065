//! A lock beside the file of a database: one process has it at a time, and who reads and writes the file knows nothing of it. The
//! kernel takes it back from a process that ends, however that ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Takes the lock of this name, for as long as the file is open that is given. None where somebody else has it.
///
/// # Errors
/// When the file of the lock cannot be made or opened.
pub(super) fn hold(database: &Path, name: &str) -> io::Result<Option<File>> {
    // As SQLite does with what it has beside the file, so that links lead to the same.
    let database = fs::canonicalize(database)?;
    let mode = fs::metadata(&database)?.mode() & 0o666;
    let mut path = database.into_os_string();
    path.push(format!("-{name}"));
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .open(&path),
        opened => opened,
    }?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_at_a_time_whatever_leads_there() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.db"), folder.path().join("link"));
        assert!(hold(&path, "x").is_err(), "there is no such database");
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink("a.db", &link).unwrap();
        let held = hold(&path, "x").unwrap();
        assert!(held.is_some());
        assert!(hold(&link, "x").unwrap().is_none());
        assert!(hold(&path, "y").unwrap().is_some(), "another name");
        drop(held);
        assert!(hold(&link, "x").unwrap().is_some());
        assert!(folder.path().join("a.db-x").exists());
    }
}
