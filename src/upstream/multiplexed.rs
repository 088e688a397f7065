//! HTTP/2 connections to one endpoint.
//!
//! A worker shares its connections among its requests, and opens another when all are busy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::PoolConfig;
use super::connector::{self, Address};
use super::pool::Wanted;
use crate::error::Error;
use crate::h2::client::{BUSY, Connection};
use crate::process;

/// Connections to one address.
pub struct Multiplexed {
    address: Address,
    /// By worker.
    connections: Box<[Mutex<Vec<Shared>>]>,
    /// Held while a connection is made, so that a burst of requests makes one.
    connecting: Box<[tokio::sync::Mutex<()>]>,
}

struct Shared {
    connection: Connection,
    used: Instant,
}

impl Multiplexed {
    pub fn new(address: Address) -> Self {
        Multiplexed {
            address,
            connections: (0..process::worker_count())
                .map(|_| Mutex::default())
                .collect(),
            connecting: (0..process::worker_count())
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
        }
    }

    /// A connection for one more request.
    ///
    /// # Errors
    /// `connect_failed`, `connect_timeout`.
    pub async fn lend(&self, wanted: Wanted<'_>) -> Result<Connection, Error> {
        let Wanted {
            limits,
            connect_timeout,
            fresh,
            asked,
            ..
        } = wanted;
        if !fresh && let Some(connection) = self.pick(limits, asked) {
            return Ok(connection);
        }
        let _turn = self.connecting[process::current_worker()].lock().await;
        // Another request may have made one while this waited for its turn.
        if let Some(connection) = self.pick(limits, Instant::now())
            && (!fresh || connection.made >= asked)
        {
            return Ok(connection);
        }
        let made = tokio::time::timeout(connect_timeout, async {
            Connection::new(connector::connect(&self.address, connect_timeout).await?).await
        });
        let connection = made.await.unwrap_or_else(|_| {
            Err(Error::new(
                crate::error::CONNECT_TIMEOUT,
                "connecting to the upstream took too long",
            ))
        })?;
        self.mine().push(Shared {
            connection: connection.clone(),
            used: Instant::now(),
        });
        Ok(connection)
    }

    /// Lets go of this worker's connections that are closed, too old, or were idle for too long. What is under
    /// way on them goes on.
    pub fn sweep(&self, limits: &PoolConfig) {
        let now = Instant::now();
        self.mine().retain_mut(|shared| {
            if shared.connection.in_flight() > 0 {
                shared.used = now;
            }
            let idle = limits
                .idle_timeout
                .0
                .is_some_and(|limit| now - shared.used >= limit);
            !idle && !is_over(&shared.connection, limits, now)
        });
    }

    /// The endpoint is gone: lets go of all connections.
    pub fn close(&self) {
        for connections in &self.connections {
            connections
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
    }

    /// Connections that exist, and those of them that are idle.
    pub fn counts(&self) -> (usize, usize) {
        let mut counts = (0, 0);
        for connections in &self.connections {
            for shared in &*connections.lock().unwrap_or_else(PoisonError::into_inner) {
                counts.0 += 1;
                counts.1 += usize::from(shared.connection.in_flight() == 0);
            }
        }
        counts
    }

    fn pick(&self, limits: &PoolConfig, now: Instant) -> Option<Connection> {
        let mut mine = self.mine();
        mine.retain(|shared| !is_over(&shared.connection, limits, now));
        let most = mine.len() >= limits.max_connections;
        let least = mine
            .iter_mut()
            .min_by_key(|shared| shared.connection.in_flight())?;
        if least.connection.in_flight() >= BUSY && !most {
            return None;
        }
        least.used = now;
        Some(least.connection.clone())
    }

    fn mine(&self) -> MutexGuard<'_, Vec<Shared>> {
        self.connections[process::current_worker()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_over(connection: &Connection, limits: &PoolConfig, now: Instant) -> bool {
    connection.is_closed()
        || limits
            .max_age
            .0
            .is_some_and(|limit| now - connection.made >= limit)
}
