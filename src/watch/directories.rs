//! Which directories tell of a change, and which names in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// As many symlinks as Linux follows in one path (path_resolution(7)).
const MAX_SYMLINKS: usize = 40;

/// The directories, free of symlinks, in which something must happen before one of `paths` can lead elsewhere or
/// hold something else, and the names to which it must happen.
///
/// Those are the directory of the file itself, or the nearest that exists; each one that holds a symlink on the way
/// to it; and for a path that is a directory, also those to which the symlinks in it lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(BTreeMap<PathBuf, Names>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Names {
    some: BTreeSet<OsString>,
    /// All that a config directory is read for.
    configs: bool,
}

/// Whether a file of this name, in a directory that is a config, is part of it. Names that begin with a dot are not,
/// as with a shell's `*.toml`: they are Kubernetes' own entries (`..data`) and editors' lock files.
pub fn is_config(name: &OsStr) -> bool {
    let toml = Path::new(name).extension().is_some_and(|e| e == "toml");
    toml && !name.as_encoded_bytes().starts_with(b".")
}

impl Places {
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut found = Places::default();
        for path in paths {
            let Some(directory) = follow(path, &mut found) else {
                continue;
            };
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if is_link && is_config(&entry.file_name()) {
                    follow(&entry.path(), &mut found);
                }
            }
            found.names(&directory).configs = true;
        }
        found
    }

    pub(super) fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    /// Whether what happens to `path` counts: one of the directories itself, or a name in one that matters. The proxy's
    /// own log, for one, may lie beside its config.
    pub(super) fn counts(&self, path: &Path) -> bool {
        let beside = path.parent().and_then(|directory| self.0.get(directory));
        let in_directory = beside.zip(path.file_name());
        self.0.contains_key(path)
            || in_directory.is_some_and(|(names, name)| {
                names.some.contains(name) || names.configs && is_config(name)
            })
    }

    fn names(&mut self, directory: &Path) -> &mut Names {
        self.0.entry(directory.to_owned()).or_default()
    }

    fn note(&mut self, directory: &Path, name: &Path) {
        self.names(directory).some.insert(name.into());
    }
}

/// Goes along `path` as the kernel would and notes each directory whose entries decide where it leads; returns where
/// it ends, if that is a directory.
fn follow(path: &Path, found: &mut Places) -> Option<PathBuf> {
    let mut ahead = steps(&std::path::absolute(path).ok()?);
    let mut here = PathBuf::new();
    let mut symlinks = 0;
    while let Some(step) = ahead.pop() {
        if step == Path::new("..") {
            here.pop();
            continue;
        }
        let next = here.join(&step);
        match fs::symlink_metadata(&next) {
            Ok(facts) if facts.is_dir() => here = next,
            Ok(facts) if facts.is_symlink() => {
                found.note(&here, &step);
                symlinks += 1;
                if symlinks > MAX_SYMLINKS {
                    return None;
                }
                ahead.extend(steps(&fs::read_link(&next).ok()?));
            }
            // A file, or what does not exist yet.
            _ => {
                found.note(&here, &step);
                return None;
            }
        }
    }
    found.names(&here);
    Some(here)
}

/// The components of a path, the first one last. That of an absolute path is the root, which replaces what it is
/// joined to.
fn steps(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .map(|step| PathBuf::from(step.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A temporary directory by its real name.
    fn temporary() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        (directory, path)
    }

    fn expect(path: PathBuf, expected: &[&PathBuf]) {
        let found = Places::of(&[path]);
        assert_eq!(found.directories().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_what_is_read_counts() {
        let (_keep, root) = temporary();
        fs::create_dir_all(root.join("conf/..v1")).unwrap();
        fs::write(root.join("conf/..v1/a.toml"), "").unwrap();
        symlink("..v1", root.join("conf/..data")).unwrap();
        symlink("..data/a.toml", root.join("conf/a.toml")).unwrap();
        fs::write(root.join("token"), "").unwrap();
        let paths = ["conf", "token", "later/x"].map(|name| root.join(name));
        let found = Places::of(&paths);
        for (name, counts) in [
            ("conf/a.toml", true),
            ("conf/b.toml", true),
            ("conf/..data", true),
            ("conf/..v1", true),
            ("conf/..v1/a.toml", true),
            ("conf", true),
            ("token", true),
            ("later", true),
            ("conf/err.log", false),
            ("conf/.b.toml.swp", false),
            ("conf/..v1/b.toml", false),
            ("err.log", false),
            ("x", false),
        ] {
            assert_eq!(found.counts(&root.join(name)), counts, "{name}");
        }
    }

    #[test]
    fn a_file_is_watched_by_its_directory() {
        let (_keep, root) = temporary();
        fs::write(root.join("a.toml"), "").unwrap();
        expect(root.join("a.toml"), &[&root]);
        expect(root.join("./x/../a.toml"), &[&root]);
    }

    #[test]
    fn what_does_not_exist_is_watched_by_the_nearest_that_does() {
        let (_keep, root) = temporary();
        expect(root.join("x/y/a.toml"), &[&root]);
        fs::create_dir(root.join("x")).unwrap();
        expect(root.join("x/y/a.toml"), &[&root.join("x")]);
    }

    #[test]
    fn a_directory_is_watched_itself() {
        let (_keep, root) = temporary();
        expect(root.clone(), &[&root]);
    }

    #[test]
    fn each_symlink_on_the_way_counts() {
        let (_keep, root) = temporary();
        for directory in ["etc", "links", "real/v1"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::write(root.join("real/v1/a.toml"), "").unwrap();
        symlink("v1", root.join("real/current")).unwrap();
        symlink("../real/current/a.toml", root.join("links/a.toml")).unwrap();
        symlink(root.join("links"), root.join("etc/config")).unwrap();
        let expected = ["etc", "links", "real", "real/v1"].map(|name| root.join(name));
        expect(root.join("etc/config/a.toml"), &expected.each_ref());
    }

    #[test]
    fn symlinks_in_a_directory_are_followed() {
        let (_keep, root) = temporary();
        fs::create_dir_all(root.join("conf/..v1")).unwrap();
        fs::create_dir_all(root.join("shared")).unwrap();
        symlink("..v1", root.join("conf/..data")).unwrap();
        symlink("..data/a.toml", root.join("conf/a.toml")).unwrap();
        symlink("../shared/b.toml", root.join("conf/b.toml")).unwrap();
        let expected = ["conf", "conf/..v1", "shared"].map(|name| root.join(name));
        expect(root.join("conf"), &expected.each_ref());
    }

    #[test]
    fn symlinks_in_a_circle_end() {
        let (_keep, root) = temporary();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        expect(root.join("a"), &[&root]);
    }

    #[test]
    fn an_empty_path_is_no_path() {
        expect(PathBuf::new(), &[]);
    }
}
