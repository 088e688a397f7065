//! The places a config lives in: a file, a directory, a Kubernetes ConfigMap volume.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How files reach their directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Written beside, then renamed over: how editors and careful programs save.
    Renamed,
    /// As kubelet does it: `..data` points to a directory of the current version, each file is a link
    /// through it, and an update swaps `..data` and deletes the old version.
    ConfigMap,
}

/// Puts `text` at `directory`/`name`, at once for whoever looks.
pub fn write(layout: Layout, directory: &Path, name: &str, text: &str) {
    match layout {
        Layout::Renamed => {
            // A name that nobody takes for a config.
            let new = directory.join(format!(".{name}.new"));
            fs::write(&new, text).expect("the directory is writable");
            fs::rename(new, directory.join(name)).expect("the directory is writable");
        }
        Layout::ConfigMap => swap(directory, name, text).expect("the directory is writable"),
    }
}

fn swap(directory: &Path, name: &str, text: &str) -> std::io::Result<()> {
    static VERSION: AtomicUsize = AtomicUsize::new(0);
    let version = format!(
        "..2026_01_01_00_00_00.{}",
        VERSION.fetch_add(1, Ordering::SeqCst)
    );
    fs::create_dir(directory.join(&version))?;
    fs::write(directory.join(&version).join(name), text)?;

    let current = directory.join("..data");
    let old: Option<PathBuf> = fs::read_link(&current).ok();
    let next = directory.join("..data_tmp");
    symlink(&version, &next)?;
    fs::rename(&next, &current)?;
    match old {
        Some(old) => fs::remove_dir_all(directory.join(old)),
        None => symlink(Path::new("..data").join(name), directory.join(name)),
    }
}
