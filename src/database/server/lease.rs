//! A server and the connections to it, and the hold on one of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::protocol::{Connection, Protocol};
use crate::database::down::Down;
use crate::database::pool::{Lease, Pool};
use crate::database::{Failure, State};

pub(super) struct Server<P: Protocol> {
    pub protocol: P,
    pub pool: Arc<Pool<P::Conn>>,
    pub down: Down,
    pub runtime: Handle,
    pub statement_timeout: Duration,
    pub connect_timeout: Duration,
    /// Whether each use of a session ends with forgetting all that it keeps.
    pub resets: bool,
    /// The version of the server, and whether a pooler stands before it.
    pub seen: Mutex<Option<(String, bool)>>,
}

/// A connection in use. Dropped in the middle of something, that is stopped and the connection closed.
pub(super) struct InUse<P: Protocol> {
    lease: Option<Lease<P::Conn>>,
    server: Arc<Server<P>>,
}

impl<P: Protocol> Server<P> {
    /// A connection out of the pool, or a new one. Waiting and connecting have limits of their own, and end at `until` at the latest.
    pub async fn lease(self: &Arc<Self>, until: Option<Instant>) -> Result<InUse<P>, Failure> {
        let left = until.map_or(Duration::MAX, |until| {
            until.saturating_duration_since(Instant::now())
        });
        let mut place = self.pool.take(left).await?;
        let lease = match (place.idle.take(), until) {
            (Some(lease), _) => Some(lease),
            (None, None) => place.fill(self.open().await?),
            (None, Some(until)) => {
                let conn = timeout_at(until, self.open()).await;
                let late = |_| {
                    Failure::Unavailable("connecting to the database takes too long".to_owned())
                };
                place.fill(conn.map_err(late)??)
            }
        };
        Ok(InUse {
            lease,
            server: self.clone(),
        })
    }

    /// A new connection.
    pub async fn open(&self) -> Result<P::Conn, Failure> {
        self.down.may_try(self.connect_timeout)?;
        let limit = self.connect_timeout;
        match timeout(limit, self.open_one()).await {
            Ok(Ok(conn)) => {
                self.down.connected();
                let seen = (conn.version().to_owned(), conn.is_pooled());
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
                Ok(conn)
            }
            Ok(Err(why)) => Err(self.down.failed(why)),
            Err(_) => Err(self
                .down
                .failed(format!("connecting took longer than {limit:?}"))),
        }
    }

    /// Tries each place once, and says why the last one failed, for operators.
    async fn open_one(&self) -> Result<P::Conn, String> {
        let mut failure = String::new();
        for address in self.protocol.addresses() {
            match self.protocol.open(address).await {
                Ok(conn) => return Ok(conn),
                Err(why) => failure = format!("{}: {why}", address.shown()),
            }
        }
        Err(failure)
    }

    pub fn state(&self) -> State {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, is_pooled) = seen.clone().unzip();
        drop(seen);
        self.pool
            .state(&self.down, version, is_pooled.unwrap_or(false))
    }
}

impl<P: Protocol> InUse<P> {
    /// The connection, and what is spoken on it.
    ///
    /// # Errors
    /// When it was given up, or given back.
    pub fn parts(&mut self) -> Result<(&mut P::Conn, &Server<P>), Failure> {
        let lease = self.lease.as_mut();
        let conn = lease.map(|lease| &mut lease.connection);
        let conn = conn.filter(|conn| conn.is_answered());
        let none = || Failure::Unavailable("there is no connection".to_owned());
        Ok((conn.ok_or_else(none)?, &self.server))
    }

    /// For the next one, if it is at rest.
    pub fn give_back(&mut self) {
        let is_at_rest = |lease: &mut Lease<P::Conn>| lease.connection.is_at_rest();
        if let Some(mut lease) = self.lease.take_if(is_at_rest) {
            lease.connection.rest();
            lease.give_back();
        }
    }
}

impl<P: Protocol> Drop for InUse<P> {
    fn drop(&mut self) {
        let is_running = |lease: &mut Lease<P::Conn>| lease.connection.can_be_stopped();
        let Some(lease) = self.lease.take_if(is_running) else {
            return;
        };
        let server = self.server.clone();
        // It ends with the time that stopping may take; its place in the pool is taken until then.
        self.server.runtime.spawn(async move {
            // All of it, and not only the connection: the place goes with it.
            let mut lease = lease;
            server.protocol.stop(&mut lease.connection).await;
        });
    }
}
