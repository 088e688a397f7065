//! What tells, without reading files, whether they have changed.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::is_config;

/// A state of files, symlinks followed: two that are equal were almost certainly taken of the same content.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Option<Stamp>)>);

/// A write moves both times. The time of change (`ctime`) cannot be set, so it betrays even a copy that keeps the
/// time of modification; neither moves when a file is read.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamps {
    /// Looks at `paths`, and where one is a directory, at what of it is read.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut stamps = Vec::new();
        for path in paths {
            let metadata = fs::metadata(path).ok();
            let is_directory = metadata.as_ref().is_some_and(Metadata::is_dir);
            stamps.push((path.clone(), metadata.map(Stamp::from)));
            if is_directory {
                stamps.extend(entries(path));
            }
        }
        Stamps(stamps)
    }
}

fn entries(directory: &Path) -> Vec<(PathBuf, Option<Stamp>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_config(&entry.file_name()))
        .map(|entry| entry.path())
        .collect();
    // A directory's own order changes without its content.
    paths.sort_unstable();
    let look = |path: PathBuf| {
        let file = fs::metadata(&path).ok().map(Stamp::from);
        (path, file)
    };
    paths.into_iter().map(look).collect()
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn differ_by_content_name_and_target_but_not_by_reading() {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().to_owned();
        let look = || Stamps::of(&[root.clone(), root.join("later.toml")]);
        let mut last = look();
        let mut differs = |what: &str| {
            let now = look();
            assert!(now != last, "{what}");
            last = now;
        };

        fs::write(root.join("a.toml"), "one").unwrap();
        differs("created");
        fs::write(root.join("a.toml"), "longer").unwrap();
        differs("written");
        fs::rename(root.join("a.toml"), root.join("b.toml")).unwrap();
        differs("renamed");
        fs::create_dir(root.join("v1")).unwrap();
        fs::write(root.join("v1/c.toml"), "one").unwrap();
        symlink("v1/c.toml", root.join("c.toml")).unwrap();
        differs("linked");
        fs::write(root.join("v1/c.toml"), "longer").unwrap();
        differs("written behind a symlink");
        fs::write(root.join("later.toml"), "").unwrap();
        differs("made at last");
        fs::remove_file(root.join("later.toml")).unwrap();
        differs("removed");

        fs::read(root.join("b.toml")).unwrap();
        fs::read_dir(&root).unwrap().for_each(drop);
        assert!(look() == last);
    }
}
