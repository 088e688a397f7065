//! Writing the files of what is registered: each is whole at any moment, whatever ends the process or the machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::admin::NotRegistered;
use crate::config::registered::{Change, Fit, file_name};

/// The files may hold secrets.
const MODE: u32 = 0o600;

/// What brings back the files that were there before.
pub struct Undo {
    directory: PathBuf,
    /// Names of files, and what each held; None where there was none.
    before: Vec<(String, Option<String>)>,
}

impl Undo {
    /// Makes `changes` of the files, of which `fit` says what they hold now.
    ///
    /// # Errors
    /// Why it could not be done; then all is as it was.
    pub fn after_writing(fit: &Fit, changes: &[Change]) -> io::Result<Self> {
        fs::create_dir_all(&fit.directory)?;
        let mut undo = Undo {
            directory: fit.directory.clone(),
            before: Vec::new(),
        };
        for (change, before) in changes.iter().zip(&fit.before) {
            let name = file_name(change.kind, &change.name);
            if let Err(error) = put(&undo.directory, &name, change.text.as_deref()) {
                undo.all()?;
                return Err(error);
            }
            undo.before.push((name, before.clone()));
        }
        Ok(undo)
    }

    /// Brings them back.
    ///
    /// # Errors
    /// The first that could not be written.
    pub fn all(self) -> io::Result<()> {
        let put =
            |(name, text): &(String, Option<String>)| put(&self.directory, name, text.as_deref());
        self.before.iter().rev().try_for_each(put)
    }
}

/// Why files could not be written, for whoever asked.
pub fn refusal(error: &io::Error) -> NotRegistered {
    let why = format!("`admin.writable_dir` cannot be written to: {error}");
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => NotRegistered::NoSpace(why),
        _ => NotRegistered::Failed(why),
    }
}

/// Puts a file into `directory` in one step, or takes it out of there, so that it is still so after a loss of power.
pub fn put(directory: &Path, name: &str, text: Option<&str>) -> io::Result<()> {
    let path = directory.join(name);
    match text {
        Some(text) => {
            // Nothing reads what begins with a dot. What a crash leaves behind is written over the next time.
            let new = directory.join(format!(".{name}.new"));
            let written = write(&new, text).and_then(|()| fs::rename(&new, &path));
            if let Err(error) = written {
                let _not_there = fs::remove_file(&new);
                return Err(error);
            }
        }
        None => match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(directory)?.sync_all()
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::admin::Kind;

    fn change(name: &str, text: Option<&str>) -> Change {
        Change {
            kind: Kind::Route,
            name: name.parse().unwrap(),
            text: text.map(str::to_owned),
        }
    }

    fn fit(directory: &Path, before: &[Option<&str>]) -> Fit {
        Fit {
            directory: directory.to_owned(),
            before: before.iter().map(|b| b.map(str::to_owned)).collect(),
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_written_and_brought_back() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("deep/registered");
        let both = [change("a", Some("one")), change("b", Some("two"))];
        let undo = Undo::after_writing(&fit(&directory, &[None, None]), &both).unwrap();
        assert_eq!(names(&directory), ["route-a.toml", "route-b.toml"]);
        let path = directory.join("route-a.toml");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let next = [change("a", Some("three")), change("b", None)];
        let before = fit(&directory, &[Some("one"), Some("two")]);
        let back = Undo::after_writing(&before, &next).unwrap();
        assert_eq!(names(&directory), ["route-a.toml"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        back.all().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(names(&directory), ["route-a.toml", "route-b.toml"]);
        undo.all().unwrap();
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn all_is_as_before_when_one_cannot_be_written() {
        let root = tempfile::tempdir().unwrap();
        // Nothing can be renamed to where a directory is.
        fs::create_dir_all(root.path().join("route-b.toml/x")).unwrap();
        let both = [change("a", Some("one")), change("b", Some("two"))];
        assert!(Undo::after_writing(&fit(root.path(), &[None, None]), &both).is_err());
        assert_eq!(names(root.path()), ["route-b.toml"]);
    }

    #[test]
    fn a_full_disk_has_its_own_word() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(matches!(refusal(&full), NotRegistered::NoSpace(_)));
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(refusal(&denied), NotRegistered::Failed(_)));
    }
}
