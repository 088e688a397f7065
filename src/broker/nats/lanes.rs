//! Connections to publish by: one for each runtime that publishes. To wake the thread on which the client works for each message,
//! and to be woken by it, costs more than the message does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::runtime::{Handle, Id};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::link::Link;
use super::session::Session;

/// How long whoever publishes first waits for a connection of its own. Where that takes longer, the one there is will do.
const OPENING: Duration = Duration::from_secs(1);

/// The connections of all runtimes but the one on which the client works.
pub(super) struct Lanes {
    home: Id,
    lanes: RwLock<Vec<(Id, Arc<Lane>)>>,
}

/// By what one runtime publishes.
#[derive(Default)]
struct Lane {
    /// It is kept until it is lost, so that what is published one after the other goes one way.
    session: watch::Sender<Option<Arc<Session>>>,
    opening: Mutex<Option<AbortHandle>>,
}

impl Lanes {
    /// `home` is where the client works.
    pub fn new(home: &Handle) -> Self {
        Lanes {
            home: home.id(),
            lanes: RwLock::default(),
        }
    }

    /// By what the runtime that asks publishes. `shared` is the connection of the client's own runtime.
    pub async fn session(&self, link: &Arc<Link>, shared: Arc<Session>) -> Arc<Session> {
        let here = Handle::current();
        if here.id() == self.home {
            return shared;
        }
        let lane = self.lane(here.id());
        if let Some(session) = lane.session() {
            return session;
        }
        let mut opened = lane.session.subscribe();
        if Lane::open(&lane, link, &shared) {
            // Whoever changes it is the lane, which is held here.
            let _changed = opened.changed().await;
        }
        lane.session().unwrap_or(shared)
    }

    /// Ends them.
    pub fn close(&self) {
        let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
        for (_, lane) in lanes.drain(..) {
            lane.close();
        }
    }

    fn lane(&self, of: Id) -> Arc<Lane> {
        let find = |lanes: &[(Id, Arc<Lane>)]| {
            let found = lanes.iter().find(|(id, _)| *id == of);
            found.map(|(_, lane)| lane.clone())
        };
        let known = find(&self.lanes.read().unwrap_or_else(PoisonError::into_inner));
        known.unwrap_or_else(|| {
            let mut lanes = self.lanes.write().unwrap_or_else(PoisonError::into_inner);
            find(&lanes).unwrap_or_else(|| {
                let lane = Arc::new(Lane::default());
                lanes.push((of, lane.clone()));
                lane
            })
        })
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.close();
    }
}

impl Lane {
    fn session(&self) -> Option<Arc<Session>> {
        let session = self.session.borrow().clone();
        session.filter(|session| !session.is_lost())
    }

    /// Has a connection opened on this runtime, and says whether one is to be waited for.
    fn open(lane: &Arc<Lane>, link: &Arc<Link>, shared: &Arc<Session>) -> bool {
        let mut opening = lane.opening();
        if opening.is_some() {
            return true;
        }
        if lane.session().is_some() {
            return false;
        }
        let (link, shared, opened) = (link.clone(), shared.clone(), lane.clone());
        // It goes on when the caller that has begun it does not wait any more.
        let task = tokio::spawn(async move {
            let session = match tokio::time::timeout(OPENING, link.open_beside(&shared)).await {
                Ok(Ok(session)) => Arc::new(session),
                Ok(Err(why)) => {
                    tracing::info!(broker = link.name, "NATS has one connection for all: {why}");
                    shared
                }
                Err(_slow) => shared,
            };
            let mut opening = opened.opening();
            opened.session.send_replace(Some(session));
            *opening = None;
        });
        *opening = Some(task.abort_handle());
        true
    }

    fn close(&self) {
        let mut opening = self.opening();
        if let Some(opening) = opening.take() {
            opening.abort();
        }
        self.session.send_replace(None);
    }

    fn opening(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.opening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
