//! The kernel's word that something happened in a directory.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::directories::Places;

/// Makes what watches directories; it calls `notify_one` for each event that counts.
pub(super) type Start =
    Box<dyn Fn(Arc<Events>) -> notify::Result<Box<dyn Watcher + Send + Sync>> + Send + Sync>;

/// inotify on Linux. It has a thread of its own, which ends with it.
pub(super) fn start(events: Arc<Events>) -> notify::Result<Box<dyn Watcher + Send + Sync>> {
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if events.counts(&event) {
            events.notify_one();
        }
    })?;
    Ok(Box::new(watcher))
}

/// What happens where something is watched.
#[derive(Default)]
pub(super) struct Events {
    happened: Notify,
    places: Mutex<Places>,
}

impl Events {
    pub(super) fn notify_one(&self) {
        self.happened.notify_one();
    }

    /// Whether something may have changed that matters. Who is told reads the files: if reading counted, it would
    /// never end; nor would it if the log counted in which a refusal is told, where that lies beside the config.
    ///
    /// An error counts, and so does a queue that overflowed: what happened meanwhile, nobody knows.
    fn counts(&self, event: &notify::Result<Event>) -> bool {
        let Ok(event) = event else { return true };
        let by_kind = match event.kind {
            // Of what was written through a memory map, closing the file is all that is told.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
            EventKind::Access(_) => false,
            _ => true,
        };
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = event.need_rescan() || event.paths.is_empty();
        by_kind && (unknown || event.paths.iter().any(|path| places.counts(path)))
    }

    fn expect(&self, places: &Places) {
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places.clone();
    }
}

pub(super) struct Kernel {
    start: Start,
    events: Arc<Events>,
    watcher: Option<Box<dyn Watcher + Send + Sync>>,
    watched: BTreeSet<PathBuf>,
    /// What was last logged to be wrong, so that it is logged once.
    complaint: Option<String>,
}

impl Kernel {
    pub(super) fn new(start: Start) -> Self {
        Kernel {
            start,
            events: Arc::default(),
            watcher: None,
            watched: BTreeSet::new(),
            complaint: None,
        }
    }

    /// Completes when something has happened since it last completed.
    pub(super) async fn happened(&self) {
        self.events.happened.notified().await;
    }

    /// Watches `places` as they stand now, and nothing else. What cannot be watched is logged, and tried again
    /// the next time.
    ///
    /// All are watched anew, also those that were watched already: a directory that was removed and made again is
    /// another one to the kernel, and has only its name in common with the one that is watched.
    pub(super) fn watch(&mut self, places: &Places) {
        self.events.expect(places);
        let complaint = self.try_watch(places).err().map(|e| e.to_string());
        if complaint == self.complaint {
            return;
        }
        match &complaint {
            Some(why) => tracing::warn!(
                %why,
                "some directories of the config cannot be watched: changes in them are found within {} s",
                super::POLL.as_secs(),
            ),
            None => tracing::info!("all directories of the config are watched again"),
        }
        self.complaint = complaint;
    }

    /// Whether some directories that matter are not watched.
    pub(super) fn misses_some(&self) -> bool {
        self.complaint.is_some()
    }

    fn try_watch(&mut self, places: &Places) -> notify::Result<()> {
        let watcher = match &mut self.watcher {
            Some(watcher) => watcher,
            None => self.watcher.insert((self.start)(self.events.clone())?),
        };
        for directory in std::mem::take(&mut self.watched) {
            // Fails for a directory that is gone: its watch went with it.
            let _gone = watcher.unwatch(&directory);
        }
        let mut outcome = Ok(());
        for directory in places.directories() {
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory.clone());
                }
                // Removed since it was found: that is a change in the directory above, which is looked up again.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, Flag, ModifyKind};

    #[test]
    fn reading_does_not_count_and_doubt_does() {
        let events = Events::default();
        let counts = |kind| events.counts(&Ok(Event::new(kind)));
        assert!(!counts(EventKind::Access(AccessKind::Open(
            AccessMode::Any
        ))));
        assert!(!counts(EventKind::Access(AccessKind::Close(
            AccessMode::Read
        ))));
        assert!(counts(EventKind::Access(AccessKind::Close(
            AccessMode::Write
        ))));
        assert!(counts(EventKind::Create(CreateKind::File)));
        assert!(counts(EventKind::Modify(ModifyKind::Data(DataChange::Any))));

        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(events.counts(&Ok(overflow)));
        assert!(events.counts(&Err(notify::Error::generic("lost"))));

        let elsewhere =
            Event::new(EventKind::Create(CreateKind::File)).add_path("/x/err.log".into());
        assert!(!events.counts(&Ok(elsewhere)));
    }
}
