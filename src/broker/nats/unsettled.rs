//! What was taken from a stream and nobody is done with: the server is told again and again that it is in progress, and
//! what is dropped goes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::link::Link;

/// How often is looked whether something is due.
const TICK: Duration = Duration::from_secs(1);
pub(super) const PROGRESS: Bytes = Bytes::from_static(b"+WPI");
pub(super) const BACK: Bytes = Bytes::from_static(b"-NAK");

/// All that one client has taken.
pub(super) struct Unsettled {
    held: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
    dropped: mpsc::UnboundedSender<Subject>,
}

struct Held {
    /// Where the server is told what became of it.
    ack: Subject,
    every: Duration,
    due: Instant,
}

/// One message that was taken. Dropped, it goes back, unless it was settled.
pub(super) struct Hold {
    unsettled: Arc<Unsettled>,
    number: u64,
    pub ack: Subject,
    is_settled: bool,
}

/// The messages that were dropped.
pub(super) type Dropped = mpsc::UnboundedReceiver<Subject>;

impl Unsettled {
    pub fn new() -> (Arc<Self>, Dropped) {
        let (dropped, receiver) = mpsc::unbounded_channel();
        let unsettled = Unsettled {
            held: Mutex::default(),
            next: AtomicU64::new(0),
            dropped,
        };
        (Arc::new(unsettled), receiver)
    }

    /// Begins to tell that a message is in progress, `every` so often.
    pub fn hold(self: &Arc<Self>, ack: Subject, every: Duration) -> Hold {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let held = Held {
            ack: ack.clone(),
            every,
            due: Instant::now() + every,
        };
        self.held().insert(number, held);
        Hold {
            unsettled: self.clone(),
            number,
            ack,
            is_settled: false,
        }
    }

    fn due(&self) -> Vec<Subject> {
        let now = Instant::now();
        let mut held = self.held();
        let due = held.values_mut().filter(|held| held.due <= now);
        due.map(|held| {
            held.due = now + held.every;
            held.ack.clone()
        })
        .collect()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Nothing more has to be told of it.
    pub fn end(&mut self) {
        self.is_settled = true;
        self.unsettled.held().remove(&self.number);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.is_settled {
            self.end();
            // Nobody listens once the client is closed: then the server finds out by itself.
            let _closed = self.unsettled.dropped.send(self.ack.clone());
        }
    }
}

/// Tells the server what is in progress, and what was dropped. It never ends.
pub(super) async fn tell(link: Arc<Link>, unsettled: Arc<Unsettled>, mut dropped: Dropped) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let (acks, what) = tokio::select! {
            _now = ticks.tick() => (unsettled.due(), PROGRESS),
            Some(ack) = dropped.recv() => (vec![ack], BACK),
        };
        // Without a connection there is nothing to tell: the server gives out again what it hears nothing of.
        let Some(session) = link.session() else {
            continue;
        };
        for ack in acks {
            if session.send(ack, None, None, what.clone()).await.is_err() {
                break;
            }
        }
    }
}
