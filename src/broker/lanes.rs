//! Connections to publish by: one for each runtime that publishes. To wake the thread on which the client works for each message,
//! and to be woken by it, costs more than the message does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How long whoever publishes first waits for a connection of its own. Where that takes longer, the one there is will do.
const OPENING: Duration = Duration::from_secs(1);

/// A connection to publish by.
pub(super) trait Way: Send + Sync + Sized + 'static {
    /// Whether nothing can be published by it any more.
    fn is_gone(&self) -> bool;
}

/// The connections of all runtimes but the one on which the client works.
pub(super) struct Lanes<W> {
    /// The broker's name in the config.
    name: String,
    home: Id,
    lanes: RwLock<Vec<(Id, Arc<Lane<W>>)>>,
}

/// By what one runtime publishes.
struct Lane<W> {
    /// It is kept until it is lost, so that what is published one after the other goes one way.
    way: watch::Sender<Option<Arc<W>>>,
    opening: Mutex<Option<AbortHandle>>,
}

impl<W: Way> Lanes<W> {
    /// `home` is where the client works, and `name` its broker's in the config.
    pub fn new(name: &str, home: &Handle) -> Self {
        Lanes {
            name: name.to_owned(),
            home: home.id(),
            lanes: RwLock::default(),
        }
    }

    /// By what the runtime that asks publishes. `shared` is the connection of the client's own runtime, and `open` opens one
    /// more, or says in a sentence why not.
    pub async fn way(
        &self,
        shared: Arc<W>,
        open: impl FnOnce() -> BoxFuture<'static, Result<W, String>>,
    ) -> Arc<W> {
        let here = Handle::current();
        if here.id() == self.home {
            return shared;
        }
        let lane = self.lane(here.id());
        if let Some(way) = lane.way() {
            return way;
        }
        let mut opened = lane.way.subscribe();
        if self.open(&lane, &shared, open) {
            // Whoever changes it is the lane, which is held here.
            let _changed = opened.changed().await;
        }
        lane.way().unwrap_or(shared)
    }

    /// Ends them, and gives what they were.
    pub fn close(&self) -> Vec<Arc<W>> {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        let closed = lanes.drain(..).filter_map(|(_, lane)| lane.close());
        closed.collect()
    }

    /// Has a connection opened on this runtime, and says whether one is to be waited for.
    fn open(
        &self,
        lane: &Arc<Lane<W>>,
        shared: &Arc<W>,
        open: impl FnOnce() -> BoxFuture<'static, Result<W, String>>,
    ) -> bool {
        let mut opening = lane.opening();
        if opening.is_some() {
            return true;
        }
        if lane.way().is_some() {
            return false;
        }
        let (name, shared, opened) = (self.name.clone(), shared.clone(), lane.clone());
        let open = open();
        // It goes on when the caller that has begun it does not wait any more.
        let task = tokio::spawn(async move {
            let way = match tokio::time::timeout(OPENING, open).await {
                Ok(Ok(way)) => Arc::new(way),
                Ok(Err(why)) => {
                    tracing::info!(broker = name, "one connection is for all: {why}");
                    shared
                }
                Err(_slow) => shared,
            };
            let mut opening = opened.opening();
            opened.way.send_replace(Some(way));
            *opening = None;
        });
        *opening = Some(task.abort_handle());
        true
    }

    fn lane(&self, of: Id) -> Arc<Lane<W>> {
        let find = |lanes: &[(Id, Arc<Lane<W>>)]| {
            let found = lanes.iter().find(|(id, _)| *id == of);
            found.map(|(_, lane)| lane.clone())
        };
        let known = find(&self.lanes.read().unwrap_or_else(PoisonError::into_inner));
        known.unwrap_or_else(|| {
            let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
            find(&lanes).unwrap_or_else(|| {
                let lane = Arc::new(Lane {
                    way: watch::Sender::new(None),
                    opening: Mutex::default(),
                });
                lanes.push((of, lane.clone()));
                lane
            })
        })
    }
}

impl<W> Lane<W> {
    fn opening(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Option<Arc<W>> {
        if let Some(opening) = self.opening().take() {
            opening.abort();
        }
        self.way.send_replace(None)
    }
}

impl<W: Way> Lane<W> {
    fn way(&self) -> Option<Arc<W>> {
        let way = self.way.borrow().clone();
        way.filter(|way| !way.is_gone())
    }
}

impl<W> Drop for Lanes<W> {
    fn drop(&mut self) {
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (_, lane) in lanes.drain(..) {
            lane.close();
        }
    }
}
