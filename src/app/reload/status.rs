//! What is known of reloads and of listeners, for whoever asks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::history::{History, Reload};
use crate::listener::{ListenAddress, Listener};
use crate::value::Name;

/// What the admin API tells about reloads and listeners.
#[derive(Default)]
pub struct Status(Mutex<Inner>);

#[derive(Default)]
pub(super) struct Inner {
    pub last_error: Option<LastError>,
    /// What was found at the start could not serve, and the last good config does in its place.
    pub serves_last_good: bool,
    pub history: History,
    pub listeners: BTreeMap<Name, Arc<Listener>>,
    /// No longer in the config, with connections that have not ended.
    removed: Vec<Arc<Listener>>,
}

/// Why the newest config does not serve.
#[derive(Clone, Debug)]
pub struct LastError {
    pub at: SystemTime,
    /// One line: file, line, column and what is wrong.
    pub summary: String,
    /// All of it, as `outrigger check` shows it.
    pub report: String,
}

impl Status {
    pub fn last_error(&self) -> Option<LastError> {
        self.inner().last_error.clone()
    }

    /// Whether the last good config of an earlier run serves.
    pub fn serves_last_good(&self) -> bool {
        self.inner().serves_last_good
    }

    /// The newest reloads, the newest first.
    pub fn reloads(&self) -> Vec<Reload> {
        self.inner().history.newest().cloned().collect()
    }

    /// The newest reload; None before the first config serves.
    pub fn last_reload(&self) -> Option<Reload> {
        self.inner().history.newest().next().cloned()
    }

    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        self.inner().listeners.values().cloned().collect()
    }

    /// All listeners that may have connections, also those that the config no longer has.
    pub fn all_listeners(&self) -> Vec<Arc<Listener>> {
        let inner = self.inner();
        inner
            .listeners
            .values()
            .chain(&inner.removed)
            .cloned()
            .collect()
    }

    /// Lets go of the removed listeners that have no connection any more, and so of what was counted of them.
    pub fn forget_ended(&self) {
        self.inner().forget_ended();
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub fn remove(&mut self, listener: Arc<Listener>) {
        listener.drain.start();
        self.removed.push(listener);
    }

    pub fn forget_ended(&mut self) {
        self.removed.retain(|listener| !listener.drain.has_ended());
    }

    pub fn is_closing(&self, address: &ListenAddress) -> bool {
        self.removed
            .iter()
            .any(|listener| listener.address == *address && listener.drain.is_held())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener;

    #[test]
    fn a_removed_listener_is_forgotten_when_it_has_ended() {
        let config: listener::Config = toml::from_str("listen = \"127.0.0.1:0\"").unwrap();
        let address = config.listen.clone();
        let checked = listener::Checked::new(config, None).unwrap();
        let listener = Arc::new(Listener::new("a".into(), address, checked, None));
        let hold = listener.drain.hold();
        let status = Status::default();
        status.inner().remove(listener);
        status.forget_ended();
        assert_eq!(status.all_listeners().len(), 1, "it still accepts");
        drop(hold);
        status.forget_ended();
        assert!(status.all_listeners().is_empty());
    }
}
