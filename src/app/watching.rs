//! The watch on the config's files, on a thread of its own: what it asks of a file system may never be answered.

use std::path::PathBuf;
use std::sync::Arc;
use std::{io, thread};

use tokio::sync::{Notify, watch};

use crate::app::reload::Source;
use crate::watch::Watch;

/// Tells that files may have changed. The thread ends with it.
pub struct Watching {
    paths: watch::Sender<Vec<PathBuf>>,
    changed: Arc<Notify>,
}

impl Watching {
    /// Watches `paths`, where the config has any.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(source: &Source, paths: &[PathBuf]) -> io::Result<Self> {
        let (sender, receiver) = watch::channel(paths.to_vec());
        let changed = Arc::new(Notify::new());
        if matches!(source, Source::Path(_)) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?;
            let told = changed.clone();
            thread::Builder::new()
                .name("watch".to_owned())
                .spawn(move || runtime.block_on(tell(receiver, &told)))?;
        }
        Ok(Watching {
            paths: sender,
            changed,
        })
    }

    pub fn set_paths(&self, paths: &[PathBuf]) {
        self.paths.send_if_modified(|old| {
            let differ = old != paths;
            if differ {
                *old = paths.to_vec();
            }
            differ
        });
    }

    /// Completes when something may have changed since it last completed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

async fn tell(mut paths: watch::Receiver<Vec<PathBuf>>, told: &Notify) {
    let first = paths.borrow_and_update().clone();
    let mut watch = Watch::new(&first);
    loop {
        tokio::select! {
            () = watch.changed() => told.notify_one(),
            wanted = paths.changed() => {
                if wanted.is_err() {
                    return;
                }
                let wanted = paths.borrow_and_update().clone();
                watch.set_paths(&wanted);
            }
        }
    }
}
