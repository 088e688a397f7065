//! Files that are mounted alone.
//!
//! Whoever mounts a single file into a container (Kubernetes' `subPath`, `docker run -v FILE:FILE`) mounts an inode.
//! The file that later takes its place outside never shows inside, so no watch and no poll can see it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Logs each of `paths` that will never change because it is mounted alone.
pub(super) fn warn<'a>(paths: impl Iterator<Item = &'a PathBuf>) {
    // Not there outside Linux, and then there is nothing to say.
    let Ok(mounts) = std::fs::read("/proc/self/mountinfo") else {
        return;
    };
    for path in paths {
        if path
            .canonicalize()
            .is_ok_and(|real| real.is_file() && is_mounted(&real, &mounts))
        {
            tracing::warn!(
                path = %path.display(),
                "this file is mounted alone, as by a subPath: when it is replaced outside, that never shows here; mount its directory",
            );
        }
    }
}

/// Whether something is mounted at `path`, by the fifth field of each line (proc_pid_mountinfo(5)).
fn is_mounted(path: &Path, mounts: &[u8]) -> bool {
    let name = escaped(path);
    mounts
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .any(|mount| mount == name.as_bytes())
}

/// As the kernel writes a path there: what would end a field, and the backslash, in octal.
fn escaped(path: &Path) -> OsString {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => escaped.extend(format!("\\{byte:03o}").bytes()),
            _ => escaped.push(*byte),
        }
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
22 28 0:20 / /proc rw,nosuid shared:12 - proc proc rw
95 94 8:1 /var/lib/kubelet/pods/1/volume-subpaths/config/app/0 /etc/outrigger/outrigger.toml ro - ext4 /dev/sda1 rw
96 94 8:1 /x /srv/a\\040b\\134c.toml ro - ext4 /dev/sda1 rw
";

    #[test]
    fn a_mount_point_is_told_from_what_lies_in_one() {
        let is_mounted = |path: &str| is_mounted(Path::new(path), MOUNTS);
        assert!(is_mounted("/etc/outrigger/outrigger.toml"));
        assert!(is_mounted("/srv/a b\\c.toml"));
        assert!(!is_mounted("/etc/outrigger"));
        assert!(!is_mounted("/etc/outrigger/other.toml"));
        assert!(!is_mounted("/proc/1"));
        assert!(!is_mounted(""));
    }
}
