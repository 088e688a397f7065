//! The bridge to message brokers and databases: the thread on which brokers are spoken to and from which their messages are
//! delivered, and on which what callers left half done with databases is ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::broker::{self, Client};
use crate::database;
use crate::process;
use crate::target::Database;
use crate::value::Name;

/// A thread with a runtime of its own, which is there once a broker or a database is configured.
#[derive(Default)]
pub struct Bridge(OnceLock<Thread>);

struct Thread {
    runtime: Handle,
    /// The thread ends when this drops.
    until: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bridge {
    /// One that has clients made on `runtime`, which is another's.
    pub fn on(runtime: Handle) -> Self {
        Bridge(OnceLock::from(Thread {
            runtime,
            until: None,
            thread: None,
        }))
    }

    /// Where brokers are spoken to.
    ///
    /// # Errors
    /// When the kernel gives no thread or no event queue.
    pub fn runtime(&self) -> io::Result<&Handle> {
        if let Some(thread) = self.0.get() {
            return Ok(&thread.runtime);
        }
        let started = Thread::start()?;
        Ok(&self.0.get_or_init(|| started).runtime)
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        let (until, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("bridge".to_owned())
            .spawn(move || {
                process::become_bridge();
                let _dropped = runtime.block_on(ended);
                // The system looks up names in threads that nobody can cut.
                runtime.shutdown_background();
            })?;
        Ok(Thread {
            runtime: handle,
            until: Some(until),
            thread: Some(thread),
        })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.until = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// The brokers of the config that served before.
#[derive(Clone, Copy)]
pub struct Before<'a> {
    pub config: &'a BTreeMap<Name, broker::Checked>,
    pub clients: &'a BTreeMap<Name, Arc<dyn Client>>,
}

/// The clients of a config: those of `old` that would be the same, and new ones, for which the old ones do the work until
/// they have connected.
///
/// # Errors
/// When the kernel gives no thread for them.
pub fn clients(
    config: &BTreeMap<Name, broker::Checked>,
    old: Option<Before<'_>>,
    bridge: &Bridge,
) -> io::Result<BTreeMap<Name, Arc<dyn Client>>> {
    let mut clients = BTreeMap::new();
    for (name, checked) in config {
        let before = old.and_then(|old| Some((old.config.get(name)?, old.clients.get(name)?)));
        let client = match before {
            Some((config, client)) if config.is_like(checked) => Some(client.clone()),
            _ => {
                let new = broker::connect(name.as_str(), checked, bridge.runtime()?);
                let same_kind = before.filter(|(config, _)| config.kind() == checked.kind());
                match same_kind {
                    Some((_, old)) => new.map(|new| broker::succeed(old, new)),
                    None => new,
                }
            }
        };
        clients.extend(client.map(|client| (name.clone(), client)));
    }
    Ok(clients)
}

/// The databases of the config that served before.
#[derive(Clone, Copy)]
pub struct DatabasesBefore<'a> {
    pub config: &'a BTreeMap<Name, database::Checked>,
    pub clients: &'a BTreeMap<Name, Database>,
}

/// The clients of a config's databases: those of `old` that would be the same, with their connections, and new ones.
///
/// # Errors
/// When the kernel gives no thread for them.
pub fn databases(
    config: &BTreeMap<Name, database::Checked>,
    old: Option<DatabasesBefore<'_>>,
    bridge: &Bridge,
) -> io::Result<BTreeMap<Name, Database>> {
    let mut clients = BTreeMap::new();
    for (name, checked) in config {
        let kept = old.and_then(|old| {
            let before = old.config.get(name)?;
            before
                .is_like(checked)
                .then(|| old.clients.get(name).cloned())?
        });
        let client = match kept {
            Some(kept) => Some(kept),
            None => database::connect(name.as_str(), checked, bridge.runtime()?)
                .map(|client| (client, checked.kind())),
        };
        clients.extend(client.map(|client| (name.clone(), client)));
    }
    Ok(clients)
}
