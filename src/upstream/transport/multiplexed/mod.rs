//! HTTP/2 connections to one endpoint.
//!
//! A worker shares its connections among its requests, and opens another when all are busy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::connector::Connected;
use super::pool::Wanted;
use super::settings::PoolConfig;
use super::terms::Terms;
use crate::codec::h2::client::Connection;
use crate::http::error::Error;
use crate::process;
use crate::tls;
use crate::tls::outbound::{Client, Offer};
use crate::upstream::endpoints::address::Address;

/// Connections to one address.
pub struct Multiplexed {
    address: Address,
    /// By worker.
    connections: Box<[Mutex<Vec<SharedConnection>>]>,
    /// Held while a connection is made, so that a burst of requests makes one.
    connecting: Box<[tokio::sync::Mutex<Option<Failure>>]>,
    /// Given the choice, the endpoint chose HTTP/1.1.
    chose_http1: AtomicBool,
}

/// What is lent.
pub enum Lent {
    Http2(Connection),
    /// The endpoint speaks HTTP/1.1, as was just found out over this connection, or before.
    Http1(Option<Connected>),
}

/// Why no connection could be made the last time.
struct Failure {
    at: Instant,
    why: Error,
}

struct SharedConnection {
    connection: Connection,
    terms: Terms,
    used: Instant,
}

impl Multiplexed {
    pub fn new(address: Address) -> Self {
        Multiplexed {
            address,
            connections: (0..process::keeper_count())
                .map(|_| Mutex::default())
                .collect(),
            connecting: (0..process::keeper_count())
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            chose_http1: AtomicBool::new(false),
        }
    }

    /// Whether the endpoint, given the choice, chose HTTP/1.1.
    pub fn chose_http1(&self) -> bool {
        self.chose_http1.load(Ordering::Relaxed)
    }

    /// A connection for one more request. A new one with TLS offers what `offer` says. Requests that wait while one is
    /// made share what comes of it: the connection, or that there is none.
    ///
    /// # Errors
    /// `connect_failed`, `connect_timeout`, `tls_failed`.
    pub async fn lend(&self, wanted: Wanted<'_>, offer: Offer) -> Result<Lent, Error> {
        let Wanted {
            limits,
            connect_timeout,
            secure,
            fresh,
            asked,
            ..
        } = wanted;
        let client = wanted.client();
        if !fresh && let Some(connection) = self.pick(limits, client, asked) {
            return Ok(Lent::Http2(connection));
        }
        wanted.stage.waits();
        let mut turn = self.connecting[process::current_worker()].lock().await;
        // Another request may have made one while this waited for its turn.
        if let Some(connection) = self.pick(limits, client, Instant::now())
            && (!fresh || connection.made >= asked)
        {
            return Ok(Lent::Http2(connection));
        }
        if offer == Offer::Both && self.chose_http1() {
            return Ok(Lent::Http1(None));
        }
        if let Some(failure) = turn.as_ref().filter(|failure| failure.at > asked) {
            return Err(failure.why.shared());
        }
        *turn = None;
        let secure = secure.map(|secure| (secure, offer));
        let made = tokio::time::timeout(connect_timeout, async {
            let connected = wanted.connect(&self.address, secure).await?;
            if offer == Offer::Both && connected.protocol.as_deref() != Some(tls::HTTP2) {
                self.chose_http1.store(true, Ordering::Relaxed);
                return Ok(Err(connected));
            }
            Ok(Ok((Connection::new(connected.io), connected.terms)))
        });
        let made = made.await.unwrap_or_else(|_| {
            Err(Error::new(
                crate::http::error::CONNECT_TIMEOUT,
                "connecting to the upstream took too long",
            ))
        });
        let (connection, terms) = match made {
            Ok(Ok(made)) => made,
            Ok(Err(connected)) => return Ok(Lent::Http1(Some(connected))),
            Err(error) => {
                *turn = Some(Failure {
                    at: Instant::now(),
                    why: error.shared(),
                });
                return Err(error);
            }
        };
        self.mine().push(SharedConnection {
            connection: connection.clone(),
            terms,
            used: Instant::now(),
        });
        Ok(Lent::Http2(connection))
    }

    /// Lets go of this worker's connections that are closed, too old, or were idle for too long, or were made under
    /// what does not hold any more. What is under way on them goes on.
    pub fn sweep(&self, limits: &PoolConfig, client: Option<&Arc<Client>>) {
        let now = Instant::now();
        self.mine().retain_mut(|shared| {
            if shared.connection.in_flight() > 0 {
                shared.used = now;
            }
            let idle = limits
                .idle_timeout
                .0
                .is_some_and(|limit| now - shared.used >= limit);
            !idle && !shared.is_over(limits, client, now)
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

    fn pick(
        &self,
        limits: &PoolConfig,
        client: Option<&Arc<Client>>,
        now: Instant,
    ) -> Option<Connection> {
        let mut mine = self.mine();
        mine.retain(|shared| !shared.is_over(limits, client, now));
        let most = mine.len() >= limits.max_connections;
        let least = mine
            .iter_mut()
            .min_by_key(|shared| shared.connection.in_flight())?;
        if least.connection.is_busy() && !most {
            return None;
        }
        least.used = now;
        Some(least.connection.clone())
    }

    fn mine(&self) -> MutexGuard<'_, Vec<SharedConnection>> {
        self.connections[process::current_worker()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedConnection {
    fn is_over(&self, limits: &PoolConfig, client: Option<&Arc<Client>>, now: Instant) -> bool {
        self.connection.is_closed()
            || self.terms.are_over(client, now)
            || limits
                .max_age
                .0
                .is_some_and(|limit| now - self.connection.made >= limit)
    }
}

#[cfg(test)]
mod tests;
