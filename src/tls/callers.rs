//! Callers with an identity, for as long as they are connected.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, UnixTime};
use slab::Slab;
use tokio::sync::Notify;

use super::inbound::Server;
use crate::net::drain::Recall;

/// The connections of a listener whose callers have proven an identity. One whose certificate expires, or is not
/// believed any more, is asked to end when what is under way has ended.
#[derive(Default)]
pub struct Callers(Mutex<Slab<Caller>>);

struct Caller {
    /// The leaf first.
    chain: Vec<CertificateDer<'static>>,
    valid_until: SystemTime,
    recall: Recall,
}

/// Somebody has come in since that was last asked.
static ENTERED: Notify = Notify::const_new();

/// Completes when a caller with an identity has come in since it last completed.
pub async fn entered() {
    ENTERED.notified().await;
}

/// A caller's place, until its connection ends.
pub struct Presence {
    callers: Arc<Callers>,
    key: usize,
}

impl Callers {
    pub fn enter(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        valid_until: SystemTime,
        recall: Recall,
    ) -> Presence {
        let key = self.all().insert(Caller {
            chain,
            valid_until,
            recall,
        });
        ENTERED.notify_one();
        Presence {
            callers: self.clone(),
            key,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Recalls those whose certificate has expired.
    pub fn recall_expired(&self, now: SystemTime) {
        for (_, caller) in self.all().iter() {
            if caller.valid_until <= now {
                caller.recall.recall();
            }
        }
    }

    /// Recalls those whom `server` would not let in.
    pub fn recall_distrusted(&self, server: Option<&Server>) {
        let now = UnixTime::now();
        for (_, caller) in self.all().iter() {
            if !server.is_some_and(|server| server.believes(&caller.chain, now)) {
                caller.recall.recall();
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Slab<Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.callers.all().remove(self.key);
    }
}
