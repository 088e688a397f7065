//! The listeners of a config that is put to use: their addresses are bound before anything of it counts.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::refusal::Refusal;
use super::status::Status;
use crate::app::worker::Workers;
use crate::config::Config;
use crate::listener::{self, Listener, Taken};
use crate::process;
use crate::value::Name;

/// Binds every listener of the first config.
///
/// # Errors
/// Which listener could not have its address, and why.
pub fn take_all(config: &Config) -> io::Result<BTreeMap<Name, Taken>> {
    let take = |(name, listener): (&Name, &listener::Checked)| {
        let taken = listener.config.take(process::worker_count(), false);
        taken
            .map(|taken| (name.clone(), taken))
            .map_err(|error| io::Error::new(error.kind(), format!("listeners.{name}: {error}")))
    };
    config.listeners.iter().map(take).collect()
}

/// Whether the listener `name` of the new config is one that is open: its sockets, and those who are connected, stay.
pub fn stays(old: &Config, name: &Name, new: &listener::Checked) -> bool {
    let before = old.listeners.get(name);
    before.is_some_and(|old| old.config.listen == new.config.listen)
}

/// Binds what the new config adds or moves.
pub(super) fn take_new(
    old: &Config,
    new: &Config,
    status: &Status,
) -> Result<BTreeMap<Name, Taken>, Refusal> {
    let mut taken = BTreeMap::new();
    for (name, listener) in &new.listeners {
        let config = &listener.config;
        if stays(old, name, listener) {
            config
                .access()
                .map_err(|error| Refusal::new(format!("listeners.{name}.group: {error}")))?;
            continue;
        }
        // An address that another name gives up is ours already, and so is one that is about to close.
        let ours = old
            .listeners
            .values()
            .any(|old| old.config.listen == config.listen)
            || status.inner().is_closing(&config.listen);
        match config.take(process::worker_count(), ours) {
            Ok(sockets) => taken.insert(name.clone(), sockets),
            Err(error) => {
                return Err(Refusal::new(format!("listeners.{name}.listen: {error}")));
            }
        };
    }
    Ok(taken)
}

/// Starts what was bound, and tells the other listeners what the config says of them now.
pub(super) fn open(
    config: &Config,
    mut taken: BTreeMap<Name, Taken>,
    workers: &Workers,
    status: &Status,
) {
    let mut inner = status.inner();
    for (name, config) in &config.listeners {
        match taken.remove(name) {
            Some(taken) => {
                let listener = Arc::new(Listener::new(
                    name.shared(),
                    taken.address,
                    config.clone(),
                    taken.file,
                ));
                tracing::info!(listener = %name, address = %listener.address, "listening");
                workers.listen(&listener, taken.sockets);
                if let Some(moved) = inner.listeners.insert(name.clone(), listener) {
                    inner.remove(moved);
                }
            }
            None => {
                if let Some(listener) = inner.listeners.get(name) {
                    listener.reconfigure(config.clone());
                }
            }
        }
    }
}

/// Closes what the config no longer has; its connections drain.
pub(super) fn close_removed(config: &Config, status: &Status) {
    let mut inner = status.inner();
    inner.forget_ended();
    let listeners = std::mem::take(&mut inner.listeners);
    for (name, listener) in listeners {
        if config.listeners.contains_key(&name) {
            inner.listeners.insert(name, listener);
        } else {
            tracing::info!(listener = %name, "the listener is removed and drains");
            inner.remove(listener);
        }
    }
}
