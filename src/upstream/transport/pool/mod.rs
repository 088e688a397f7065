//! HTTP/1.1 connections to one endpoint.
//!
//! Idle connections lie with the worker that made them, the newest taken first. The limit on how many there are
//! counts over all workers: a worker that may open no more takes the place of another's idle connection, and
//! where there is none it waits in line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connector::{self, Connected};
use super::settings::PoolConfig;
use super::terms::{Secure, Terms};
use crate::codec::h1::client::{Connection, Loan};
use crate::http::error::{Error, OVERLOADED};
use crate::net::timer;
use crate::process;
use crate::tls::outbound::{Client, Offer};
use crate::upstream::attempt::Stage;
use crate::upstream::endpoints::address::Address;

/// What connection an exchange wants.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub limits: &'a PoolConfig,
    pub connect_timeout: Duration,
    /// With TLS.
    pub secure: Option<Secure<'a>>,
    /// Ask the kernel whether an idle connection is still open, for a request that must not be sent twice.
    pub careful: bool,
    /// None that was used before.
    pub fresh: bool,
    /// Now.
    pub asked: Instant,
    /// To be told how far the exchange is.
    pub stage: &'a Stage,
}

/// Connections to one address.
pub struct Pool {
    address: Address,
    /// By worker.
    idle: Box<[Mutex<Vec<Pooled>>]>,
    /// Connections that exist or are being made.
    open: AtomicUsize,
    /// The limit on `open` that was last asked for.
    limit: AtomicUsize,
    /// No connection is kept any more.
    closed: AtomicBool,
    waiting: Mutex<VecDeque<oneshot::Sender<Grant>>>,
    /// Length of `waiting`, to be read without its lock.
    queued: AtomicUsize,
}

struct Pooled {
    connection: Box<Connection>,
    terms: Terms,
    made: Instant,
    /// When it became idle.
    since: Instant,
    place: Place,
}

/// The right to have one connection; passed on to whoever waits when it is dropped.
struct Place(Option<Weak<Pool>>);

/// What a request that waits is given.
enum Grant {
    Connection(Pooled),
    Place(Place),
}

impl Pool {
    pub fn new(address: Address) -> Self {
        Pool {
            address,
            idle: (0..process::keeper_count())
                .map(|_| Mutex::default())
                .collect(),
            open: AtomicUsize::new(0),
            limit: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            waiting: Mutex::default(),
            queued: AtomicUsize::new(0),
        }
    }

    /// Lends an idle connection, if there is one and it will do.
    pub fn lend_idle(self: &Arc<Self>, wanted: &Wanted<'_>) -> Option<Lease> {
        let pooled = (!wanted.fresh).then(|| self.take_idle(wanted)).flatten()?;
        Some(Lease::new(self, pooled, true))
    }

    /// Lends a connection: an idle one, a new one, or the next that becomes free.
    ///
    /// # Errors
    /// `connect_failed`, `connect_timeout`, `tls_failed`; `overloaded` when too many wait already.
    pub async fn lend(self: &Arc<Self>, wanted: Wanted<'_>) -> Result<Lease, Error> {
        if let Some(lease) = self.lend_idle(&wanted) {
            return Ok(lease);
        }
        let Wanted { limits, fresh, .. } = wanted;
        let place = match self.take_place(limits.max_connections) {
            Some(place) => place,
            None => match self.wait_in_line(limits, wanted.stage).await? {
                Grant::Connection(pooled)
                    if !fresh
                        && !pooled.is_stale(limits, wanted.client(), Instant::now())
                        && pooled.connection.is_quiet(true) =>
                {
                    return Ok(Lease::new(self, pooled, true));
                }
                Grant::Connection(pooled) => pooled.place,
                Grant::Place(place) => place,
            },
        };
        let secure = wanted.secure.map(|secure| (secure, Offer::Http1));
        let connected = wanted.connect(&self.address, secure).await?;
        Ok(Lease::new(self, Pooled::new(connected, place), false))
    }

    /// Takes a connection that was made elsewhere, if there is a place for it.
    pub fn adopt(self: &Arc<Self>, connected: Connected, limits: &PoolConfig) {
        if let Some(place) = self.take_place(limits.max_connections) {
            Lease::new(self, Pooled::new(connected, place), false).give_back();
        }
    }

    /// Closes this worker's connections that were idle for too long, or are too old, or that the peer closed, or that
    /// were made under what does not hold any more.
    pub fn sweep(&self, limits: &PoolConfig, client: Option<&Arc<Client>>) {
        let now = Instant::now();
        let mut idle = self.idle_of(process::current_worker());
        let doomed: Vec<Pooled> = idle
            .extract_if(.., |pooled| {
                pooled.is_stale(limits, client, now) || !pooled.connection.is_quiet(false)
            })
            .collect();
        drop(idle);
        drop(doomed);
    }

    /// The endpoint is gone: closes what is idle, and whatever is given back later.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for worker in 0..self.idle.len() {
            let doomed = std::mem::take(&mut *self.idle_of(worker));
            drop(doomed);
        }
    }

    /// Connections that exist, and those of them that are idle.
    pub fn counts(&self) -> (usize, usize) {
        let idle = (0..self.idle.len())
            .map(|worker| self.idle_of(worker).len())
            .sum();
        (self.open.load(Ordering::Relaxed), idle)
    }

    fn take_idle(&self, wanted: &Wanted<'_>) -> Option<Pooled> {
        loop {
            let pooled = self.idle_of(process::current_worker()).pop()?;
            let stale = pooled.is_stale(wanted.limits, wanted.client(), wanted.asked);
            if !stale && pooled.connection.is_quiet(wanted.careful) {
                return Some(pooled);
            }
        }
    }

    fn take_place(self: &Arc<Self>, limit: usize) -> Option<Place> {
        self.limit.store(limit, Ordering::Relaxed);
        loop {
            if self.count_in(limit) {
                return Some(Place(Some(Arc::downgrade(self))));
            }
            // Another worker's idle connection is worth less than a request that waits.
            let other = (0..self.idle.len()).find_map(|worker| self.idle_of(worker).pop())?;
            drop(other);
        }
    }

    fn count_in(&self, limit: usize) -> bool {
        let more = |open| (open < limit).then_some(open + 1);
        self.open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
            .is_ok()
    }

    async fn wait_in_line(
        self: &Arc<Self>,
        limits: &PoolConfig,
        stage: &Stage,
    ) -> Result<Grant, Error> {
        stage.waits();
        let granted = {
            let mut waiting = self.waiting();
            if waiting.len() >= limits.max_pending {
                waiting.retain(|waiter| !waiter.is_closed());
            }
            if waiting.len() >= limits.max_pending {
                return Err(Error::new(
                    OVERLOADED,
                    "too many requests wait for a connection of the pool to the upstream",
                ));
            }
            let (grant, granted) = oneshot::channel();
            waiting.push_back(grant);
            self.queued.store(waiting.len(), Ordering::SeqCst);
            granted
        };
        // A place that became free just before this request stood in line was offered to nobody.
        if let Some(place) = self.take_place(limits.max_connections) {
            return Ok(Grant::Place(place));
        }
        granted
            .await
            .map_err(|_| Error::new(OVERLOADED, "the wait for a connection was given up"))
    }

    /// Whether a request waits in line.
    fn is_wanted(&self) -> bool {
        let queued = self.queued.load(Ordering::Relaxed) > 0;
        queued && self.waiting().iter().any(|waiter| !waiter.is_closed())
    }

    /// Offers `grant` to the first in line; hands it back when nobody waits.
    fn offer(&self, mut grant: Grant) -> Option<Grant> {
        if self.queued.load(Ordering::SeqCst) == 0 {
            return Some(grant);
        }
        let mut waiting = self.waiting();
        while let Some(waiter) = waiting.pop_front() {
            self.queued.store(waiting.len(), Ordering::SeqCst);
            match waiter.send(grant) {
                Ok(()) => return None,
                Err(back) => grant = back,
            }
        }
        Some(grant)
    }

    fn idle_of(&self, worker: usize) -> MutexGuard<'_, Vec<Pooled>> {
        self.idle[worker]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<oneshot::Sender<Grant>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(pool) = self.0.take().and_then(|pool| pool.upgrade()) else {
            return;
        };
        loop {
            match pool.offer(Grant::Place(Place(Some(Arc::downgrade(&pool))))) {
                Some(Grant::Place(mut unwanted)) => unwanted.0 = None,
                _ => return,
            }
            pool.open.fetch_sub(1, Ordering::SeqCst);
            // Whoever stood in line between the offer and this saw no place; take it for them, if it is still there.
            let limit = pool.limit.load(Ordering::Relaxed);
            if pool.queued.load(Ordering::SeqCst) == 0 || !pool.count_in(limit) {
                return;
            }
        }
    }
}

impl Wanted<'_> {
    /// Makes a connection, and has the exchange know how far that is.
    ///
    /// # Errors
    /// Those of [`connector::connect`].
    pub async fn connect(
        &self,
        address: &Address,
        secure: Option<(Secure<'_>, Offer)>,
    ) -> Result<Connected, Error> {
        self.stage.connects(self.asked.elapsed());
        let secures = || self.stage.secures(self.asked.elapsed());
        connector::connect(address, self.connect_timeout, secure, secures).await
    }

    /// How TLS is spoken now.
    pub fn client(&self) -> Option<&Arc<Client>> {
        self.secure.as_ref().map(|secure| secure.client)
    }
}

impl Pooled {
    fn new(connected: Connected, place: Place) -> Self {
        let now = Instant::now();
        Pooled {
            connection: Box::new(Connection::new(connected.io)),
            terms: connected.terms,
            made: now,
            since: now,
            place,
        }
    }

    fn is_stale(&self, limits: &PoolConfig, client: Option<&Arc<Client>>, now: Instant) -> bool {
        let past = |limit: Option<Duration>, start: Instant| {
            limit.is_some_and(|limit| now.duration_since(start) >= limit)
        };
        past(limits.idle_timeout.0, self.since)
            || past(self.connection.kept_for(), self.since)
            || past(limits.max_age.0, self.made)
            || self.terms.are_over(client, now)
    }
}

/// A connection lent for one exchange. Dropping it closes the connection.
pub struct Lease {
    pool: Arc<Pool>,
    pooled: Pooled,
    reused: bool,
}

impl Lease {
    fn new(pool: &Arc<Pool>, pooled: Pooled, reused: bool) -> Self {
        Lease {
            pool: pool.clone(),
            pooled,
            reused,
        }
    }

    /// Whether an earlier exchange went over it: then the upstream may have closed it meanwhile.
    pub fn is_reused(&self) -> bool {
        self.reused
    }
}

impl Loan for Lease {
    fn connection(&mut self) -> &mut Connection {
        &mut self.pooled.connection
    }

    fn is_wanted(&self) -> bool {
        self.pool.is_wanted()
    }

    fn give_back(mut self) {
        self.pooled.since = timer::now();
        let (pool, mut pooled) = (self.pool, self.pooled);
        loop {
            pooled = match pool.offer(Grant::Connection(pooled)) {
                Some(Grant::Connection(unwanted)) => unwanted,
                _ => return,
            };
            let mut idle = pool.idle_of(process::current_worker());
            if pool.closed.load(Ordering::Acquire) {
                // Not under the lock: closing it may grant its place.
                drop(idle);
                return;
            }
            idle.push(pooled);
            // Whoever stood in line between the offer and this saw no idle connection.
            pooled = match pool.queued.load(Ordering::SeqCst) {
                0 => return,
                _ => match idle.pop() {
                    Some(pooled) => pooled,
                    None => return,
                },
            };
        }
    }

    fn into_connection(self) -> Connection {
        *self.pooled.connection
    }
}

#[cfg(test)]
mod tests;
