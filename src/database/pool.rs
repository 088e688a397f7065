//! The connections to one database, shared by all workers.
//!
//! Whoever has a permit may have a connection, and there are as many permits as there may be connections. An idle one of the same
//! worker is taken first: whoever waits for its answer is woken on its own thread. Failing that, one of another worker is taken
//! before a new one is made, so that there are never more than there are permits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::config;
use super::down::Down;
use super::{Failure, State};
use crate::process;

/// A connection, as far as a pool has to do with it.
pub(super) trait Pooled: Send + 'static {
    /// Whether it can be used again, as far as can be seen: nothing came while it was idle, nor did it end.
    fn is_fit(&mut self) -> bool;

    /// Tells the server that it is closed in order, as far as that takes no waiting.
    fn close(self);

    /// It is used on another worker from now on.
    fn moved(self) -> Option<Self>
    where
        Self: Sized;
}

struct Idle<C> {
    connection: C,
    born: Instant,
    since: Instant,
}

pub(super) struct Pool<C: Pooled> {
    /// Those of each worker, and behind them those of all other threads. The last one is used first.
    shelves: Box<[Mutex<Vec<Idle<C>>>]>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    settings: config::Pool,
}

/// What [`Pool::take`] gives: the right to a connection, and one, if one was idle.
pub(super) struct Place<C: Pooled> {
    pub idle: Option<Lease<C>>,
    permit: Option<OwnedSemaphorePermit>,
    pool: Arc<Pool<C>>,
}

/// A connection that is in use. It is closed when this is dropped: [`Lease::give_back`] gives it back.
pub(super) struct Lease<C: Pooled> {
    pub connection: C,
    born: Instant,
    permit: OwnedSemaphorePermit,
    pool: Arc<Pool<C>>,
}

impl<C: Pooled> Pool<C> {
    pub fn new(settings: &config::Pool) -> Arc<Self> {
        Arc::new(Pool {
            shelves: (0..=process::worker_count())
                .map(|_| Mutex::default())
                .collect(),
            permits: Arc::new(Semaphore::new(settings.max_connections)),
            waiting: AtomicUsize::new(0),
            settings: settings.clone(),
        })
    }

    /// A place, after at most `most`.
    ///
    /// # Errors
    /// When no connection was given back in time.
    pub async fn take(self: &Arc<Self>, most: Duration) -> Result<Place<C>, Failure> {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait(most).await?,
        };
        let (mut permit, mut idle) = (Some(permit), None);
        while let Some((found, is_own)) = self.pick() {
            let Idle {
                mut connection,
                born,
                since,
            } = found;
            if !connection.is_fit() {
                continue;
            }
            if !self.is_young(born, since) {
                connection.close();
                continue;
            }
            let connection = if is_own {
                Some(connection)
            } else {
                connection.moved()
            };
            if let (Some(connection), Some(permit)) = (connection, permit.take()) {
                idle = Some(Lease {
                    connection,
                    born,
                    permit,
                    pool: self.clone(),
                });
                break;
            }
        }
        Ok(Place {
            idle,
            permit,
            pool: self.clone(),
        })
    }

    async fn wait(&self, most: Duration) -> Result<OwnedSemaphorePermit, Failure> {
        let most = most.min(self.settings.max_wait.0);
        let _waits = Waits::begin(&self.waiting);
        match timeout(most, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Failure::Overloaded(format!(
                "all {} connections to the database were in use for {most:?}",
                self.settings.max_connections
            ))),
        }
    }

    /// The idle connection that was used last here, or else on another worker.
    fn pick(&self) -> Option<(Idle<C>, bool)> {
        let own = self.own();
        if let Some(idle) = lock(&self.shelves[own]).pop() {
            return Some((idle, true));
        }
        let others = (1..self.shelves.len()).map(|step| (own + step) % self.shelves.len());
        let mut found = others.filter_map(|other| lock(&self.shelves[other]).pop());
        Some((found.next()?, false))
    }

    /// The place of this thread's shelf.
    fn own(&self) -> usize {
        let last = self.shelves.len() - 1;
        process::this_worker().map_or(last, |worker| worker.min(last))
    }

    fn is_young(&self, born: Instant, since: Instant) -> bool {
        born.elapsed() < self.settings.max_age.0 && since.elapsed() < self.settings.idle_timeout.0
    }

    /// Closes what is idle for too long, or too old, or has ended, on this worker. The first one also looks after what other
    /// threads have left.
    pub fn sweep(&self) {
        let last = self.shelves.len() - 1;
        let own = self.own();
        let shelves = [Some(own), (own == 0).then_some(last)];
        for shelf in shelves.into_iter().flatten() {
            let over: Vec<Idle<C>> = lock(&self.shelves[shelf])
                .extract_if(.., |idle| {
                    !self.is_young(idle.born, idle.since) || !idle.connection.is_fit()
                })
                .collect();
            for idle in over {
                idle.connection.close();
            }
        }
    }

    /// How the database is now, of which `down` tells whether it can be reached.
    pub fn state(&self, down: &Down, version: Option<String>, is_pooled: bool) -> State {
        let (in_use, idle, waiting) = self.counts();
        State {
            connected: down.is_connected(),
            last_error: down.last_error(),
            version,
            is_pooled,
            in_use,
            idle,
            waiting,
            max_connections: self.settings.max_connections,
        }
    }

    /// How many connections are in use, how many idle, and how many callers wait for one.
    fn counts(&self) -> (usize, usize, usize) {
        let in_use = self.settings.max_connections - self.permits.available_permits();
        let idle = self.shelves.iter().map(|shelf| lock(shelf).len()).sum();
        (in_use, idle, self.waiting.load(Ordering::Relaxed))
    }
}

impl<C: Pooled> Drop for Pool<C> {
    fn drop(&mut self) {
        for shelf in &mut self.shelves {
            let shelf = shelf.get_mut().unwrap_or_else(PoisonError::into_inner);
            for idle in shelf.drain(..) {
                idle.connection.close();
            }
        }
    }
}

impl<C: Pooled> Place<C> {
    /// Fills it with a new connection. None where it was filled already.
    pub fn fill(self, connection: C) -> Option<Lease<C>> {
        Some(Lease {
            connection,
            born: Instant::now(),
            permit: self.permit?,
            pool: self.pool,
        })
    }
}

impl<C: Pooled> Lease<C> {
    /// For the next one, as nothing of this use is left in it.
    pub fn give_back(self) {
        let Lease {
            connection,
            born,
            permit,
            pool,
        } = self;
        let idle = Idle {
            connection,
            born,
            since: Instant::now(),
        };
        if pool.is_young(born, idle.since) {
            lock(&pool.shelves[pool.own()]).push(idle);
        } else {
            idle.connection.close();
        }
        drop(permit);
    }
}

/// One who waits, for as long as it lives.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Waits(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    struct Fake(u32, bool);

    impl Pooled for Fake {
        fn is_fit(&mut self) -> bool {
            self.1
        }

        fn close(self) {}

        fn moved(self) -> Option<Self> {
            Some(self)
        }
    }

    fn pool(max_connections: usize) -> Arc<Pool<Fake>> {
        Pool::new(&config::Pool {
            max_connections,
            idle_timeout: value::Duration(Duration::from_secs(10)),
            max_age: value::Duration(Duration::from_secs(25)),
            ..config::Pool::default()
        })
    }

    async fn lease(pool: &Arc<Pool<Fake>>, number: u32) -> Lease<Fake> {
        let mut place = pool.take(Duration::MAX).await.ok().unwrap();
        match place.idle.take() {
            Some(lease) => lease,
            None => place.fill(Fake(number, true)).unwrap(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_is_used_again_and_no_more_than_the_most_are_there() {
        let pool = pool(2);
        let (one, two) = (lease(&pool, 1).await, lease(&pool, 2).await);
        assert_eq!(pool.counts(), (2, 0, 0));
        let refused = pool.take(Duration::MAX).await.err().unwrap();
        assert!(matches!(refused, Failure::Overloaded(_)));
        one.give_back();
        let again = lease(&pool, 3).await;
        assert_eq!(again.connection.0, 1);
        drop(two);
        assert_eq!(pool.counts(), (1, 0, 0));
        assert_eq!(lease(&pool, 4).await.connection.0, 4);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_the_next_one() {
        let pool = pool(1);
        let one = lease(&pool, 1).await;
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { lease(&pool, 2).await.connection.0 }
        });
        tokio::task::yield_now().await;
        assert_eq!(pool.counts(), (1, 0, 1));
        one.give_back();
        assert_eq!(waiting.await.unwrap(), 1);
        assert_eq!(pool.counts(), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_idle_or_unfit_is_not_used_again() {
        let pool = pool(1);
        lease(&pool, 1).await.give_back();
        tokio::time::advance(Duration::from_secs(11)).await;
        let mut two = lease(&pool, 2).await;
        assert_eq!(two.connection.0, 2);
        two.connection.1 = false;
        two.give_back();
        let three = lease(&pool, 3).await;
        assert_eq!(three.connection.0, 3);
        three.give_back();
        for _ in 0..2 {
            tokio::time::advance(Duration::from_secs(9)).await;
            pool.sweep();
            lease(&pool, 4).await.give_back();
        }
        assert_eq!(pool.counts().1, 1);
        tokio::time::advance(Duration::from_secs(9)).await;
        pool.sweep();
        assert_eq!(pool.counts().1, 0);
    }
}
