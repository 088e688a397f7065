//! What a file says, as long as it says it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Something read from a file, read again when the file changed.
pub struct Reread<T> {
    path: PathBuf,
    read: fn(&Path) -> std::io::Result<T>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// Time and length of the file that was read; None before the first time and for a file that is missing.
    stamp: Option<(SystemTime, u64)>,
    looked: bool,
    value: Option<Arc<T>>,
}

impl<T> Reread<T> {
    pub fn new(path: &Path, read: fn(&Path) -> std::io::Result<T>) -> Self {
        Reread {
            path: path.to_owned(),
            read,
            last: Mutex::new(Last {
                stamp: None,
                looked: false,
                value: None,
            }),
        }
    }

    /// What the file says now, or what it said when it could be read last.
    pub fn get(&self) -> Option<Arc<T>> {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .and_then(|found| Some((found.modified().ok()?, found.len())));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.looked || last.stamp != stamp {
            last.looked = true;
            last.stamp = stamp;
            match (self.read)(&self.path) {
                Ok(value) => last.value = Some(Arc::new(value)),
                Err(failure) => {
                    let path = self.path.display();
                    tracing::warn!("{path} is not used to resolve names: {failure}");
                }
            }
        }
        last.value.clone()
    }
}

#[cfg(test)]
impl<T> Reread<T> {
    /// As if a file that has not changed since said this.
    pub fn saying(value: T) -> Self {
        let reread = Reread::new(Path::new(""), |_| Err(std::io::ErrorKind::NotFound.into()));
        *reread.last.lock().unwrap_or_else(PoisonError::into_inner) = Last {
            stamp: None,
            looked: true,
            value: Some(Arc::new(value)),
        };
        reread
    }
}
