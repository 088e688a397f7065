//! Ending without losing a request.
//!
//! Each listener has a [`Drain`]; each of its connections holds a [`Ticket`] while it lives, and watches over it once
//! it is served. Starting the drain wakes every connection's task, which then asks [`Watched::is_draining`] and ends when
//! it has nothing to do.
//!
//! Not tokio-util's `CancellationToken` and `TaskTracker` (0.7): a tracker waits for no task at all, but not for fewer
//! than a limit, and ending one connection alone takes a child token for each: an allocation,
//! and a place in a tree.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use serde::{Deserialize, Serialize};
use slab::Slab;
use tokio::sync::Notify;

use crate::value::Duration;

/// `[shutdown]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long requests in flight may take to finish.
    pub drain_timeout: Duration,
    /// Between failing readiness and closing listeners.
    pub delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            drain_timeout: Duration::from_secs(25),
            delay: Duration::from_secs(0),
        }
    }
}

/// Starts a drain, and waits for its end.
#[derive(Clone, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Default)]
struct Inner {
    draining: AtomicBool,
    tasks: Mutex<Slab<Option<Waker>>>,
    /// What else must end first.
    holds: AtomicUsize,
    /// A connection or a hold has ended.
    left: Notify,
    started: Notify,
}

impl Drain {
    /// A ticket for a connection.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            state: self.0.clone(),
            key: self.0.tasks().insert(None),
            recalled: None,
        }
    }

    /// Keeps the drain from ending, for who may still bring connections.
    pub fn hold(&self) -> Hold {
        self.0.holds.fetch_add(1, Ordering::SeqCst);
        Hold(self.0.clone())
    }

    /// Asks every connection to end.
    pub fn start(&self) {
        self.0.draining.store(true, Ordering::SeqCst);
        self.0.started.notify_waiters();
        let wakers: Vec<Waker> = self
            .0
            .tasks()
            .iter()
            .filter_map(|(_, task)| task.clone())
            .collect();
        for waker in wakers {
            waker.wake();
        }
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::SeqCst)
    }

    /// Completes when the drain starts.
    pub async fn started(&self) {
        let notified = self.0.started.notified();
        if !self.is_draining() {
            notified.await;
        }
    }

    /// Connections that live.
    pub fn live(&self) -> usize {
        self.0.tasks().len()
    }

    /// Whether somebody may still bring connections.
    pub fn is_held(&self) -> bool {
        self.0.holds.load(Ordering::SeqCst) > 0
    }

    /// Whether no connection lives, and none can come.
    pub fn has_ended(&self) -> bool {
        // In this order: the last tickets are made before the hold goes.
        !self.is_held() && self.live() == 0
    }

    /// Completes when no connection lives, and none can come.
    pub async fn ended(&self) {
        self.until(|| self.has_ended()).await;
    }

    /// Completes when fewer connections live than `limit`.
    pub async fn below(&self, limit: usize) {
        self.until(|| self.live() < limit).await;
    }

    async fn until(&self, holds_true: impl Fn() -> bool) {
        loop {
            let notified = self.0.left.notified();
            if holds_true() {
                return;
            }
            notified.await;
        }
    }
}

impl Inner {
    fn tasks(&self) -> MutexGuard<'_, Slab<Option<Waker>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a drain from ending while it lives.
pub struct Hold(Arc<Inner>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_waiters();
    }
}

/// A connection's part in the drain of its listener.
pub struct Ticket {
    state: Arc<Inner>,
    key: usize,
    recalled: Option<Arc<AtomicBool>>,
}

/// Asks one connection to end as if its listener drained.
pub struct Recall {
    state: Arc<Inner>,
    key: usize,
    recalled: Arc<AtomicBool>,
}

impl Recall {
    pub fn recall(&self) {
        if !self.recalled.swap(true, Ordering::SeqCst) {
            let waker = self.state.tasks().get(self.key).cloned().flatten();
            // If the connection is gone, this wakes another for nothing.
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Ticket {
    /// A way to end this connection alone.
    pub fn recall(&mut self) -> Recall {
        let recalled = self.recalled.get_or_insert_default().clone();
        Recall {
            state: self.state.clone(),
            key: self.key,
            recalled,
        }
    }

    /// Has the task that awaits this woken when the drain starts.
    pub async fn watched(self) -> Watched {
        poll_fn(|cx| {
            if let Some(slot) = self.state.tasks().get_mut(self.key) {
                *slot = Some(cx.waker().clone());
            }
            Poll::Ready(())
        })
        .await;
        Watched(self)
    }
}

/// A ticket whose connection is served, by a task that learns of the drain.
pub struct Watched(Ticket);

impl Watched {
    pub fn is_draining(&self) -> bool {
        let Ticket {
            state, recalled, ..
        } = &self.0;
        let recalled = recalled.as_ref();
        state.draining.load(Ordering::SeqCst)
            || recalled.is_some_and(|recalled| recalled.load(Ordering::SeqCst))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.state.tasks().remove(self.key);
        self.state.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves a connection that has nothing to do.
    async fn idle(ticket: Ticket) {
        let watched = ticket.watched().await;
        poll_fn(|_| {
            if watched.is_draining() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[tokio::test]
    async fn wakes_every_connection_and_waits_for_its_end() {
        let drain = Drain::default();
        let connections: Vec<_> = (0..3).map(|_| tokio::spawn(idle(drain.ticket()))).collect();
        tokio::task::yield_now().await;
        assert_eq!(drain.live(), 3);
        drain.start();
        drain.ended().await;
        for connection in connections {
            connection.await.unwrap();
        }
        assert_eq!(drain.live(), 0);
    }

    #[tokio::test]
    async fn one_connection_alone_can_be_recalled() {
        let drain = Drain::default();
        let (mut ticket, other) = (drain.ticket(), drain.ticket());
        let recall = ticket.recall();
        let connection = tokio::spawn(idle(ticket));
        tokio::task::yield_now().await;
        recall.recall();
        connection.await.unwrap();
        assert!(!other.watched().await.is_draining() && !drain.is_draining());
        recall.recall();
    }

    #[tokio::test]
    async fn one_without_connections_has_ended() {
        Drain::default().ended().await;
    }

    #[tokio::test]
    async fn waits_for_who_may_bring_connections() {
        let drain = Drain::default();
        let hold = drain.hold();
        drain.start();
        assert!(!drain.has_ended());
        let ticket = drain.ticket();
        drop(hold);
        assert!(!drain.has_ended());
        let waiting = drain.clone();
        let ended = tokio::spawn(async move { waiting.ended().await });
        tokio::task::yield_now().await;
        drop(ticket);
        ended.await.unwrap();
    }
}
