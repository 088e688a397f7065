//! Files that are mounted by themselves, which never show an update.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether `file` is a mount point of its own, as a Kubernetes `subPath` makes it. The mount holds on to one
/// inode, and an update puts another one under the name, so the change never arrives.
pub(super) fn is_mounted_alone(file: &Path) -> bool {
    // A directory that is mounted is how it should be.
    if file.is_dir() {
        return false;
    }
    let Ok(table) = fs::read_to_string("/proc/self/mountinfo") else {
        return false;
    };
    let Some(absolute) = absolute(file) else {
        return false;
    };
    mount_points(&table).any(|point| point == absolute)
}

/// The path without links in its directories; the file itself is kept, for it is the name that is mounted.
fn absolute(file: &Path) -> Option<PathBuf> {
    let directory = match file.parent()? {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        directory => directory,
    };
    Some(fs::canonicalize(directory).ok()?.join(file.file_name()?))
}

/// The fifth field of each line (proc_pid_mountinfo(5)).
fn mount_points(table: &str) -> impl Iterator<Item = PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescape(field)))
}

/// Undoes the kernel's `\040` for a space, and likewise for tab, newline and backslash.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|d| u8::from_str_radix(d, 8).ok());
        match code {
            Some(code) => {
                text.push(char::from(code));
                text.push_str(&part[3..]);
            }
            None => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     90 22 8:1 /pods/x/volume-subpaths/c /etc/outrigger/a\\040b.toml ro - ext4 /dev/sda1 rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(
            points,
            [Path::new("/"), Path::new("/etc/outrigger/a b.toml")]
        );
    }

    #[test]
    fn an_ordinary_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs::write(&file, "").unwrap();
        assert!(!is_mounted_alone(&file));
    }
}
