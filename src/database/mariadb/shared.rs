//! One database and its connections, and the hold on one of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};

use super::cancel::cancel;
use super::conn::Conn;
use super::open::{Way, open};
use crate::database::Failure;
use crate::database::down::Down;
use crate::database::pool::{Lease, Pool};

pub(super) struct MariaDb {
    pub way: Way,
    pub pool: Arc<Pool<Conn>>,
    pub down: Down,
    pub runtime: Handle,
    pub statement_timeout: Duration,
    pub connect_timeout: Duration,
    pub max_connections: usize,
    /// The version of the server.
    pub seen: Mutex<Option<String>>,
}

/// A connection in use. Dropped in the middle of something, that is cancelled and the connection closed.
pub(super) struct InUse {
    lease: Option<Lease<Conn>>,
    client: Arc<MariaDb>,
}

impl MariaDb {
    /// A connection out of the pool, or a new one. Waiting and connecting have limits of their own, and end at `until` at the latest.
    pub async fn lease(self: &Arc<Self>, until: Option<Instant>) -> Result<InUse, Failure> {
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
            client: self.clone(),
        })
    }

    /// A new connection.
    pub async fn open(&self) -> Result<Conn, Failure> {
        self.down.may_try(self.connect_timeout)?;
        let limit = self.connect_timeout;
        match timeout(limit, open(&self.way)).await {
            Ok(Ok(conn)) => {
                self.down.connected();
                *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(conn.version.clone());
                Ok(conn)
            }
            Ok(Err(why)) => Err(self.down.failed(why)),
            Err(_) => Err(self
                .down
                .failed(format!("connecting took longer than {limit:?}"))),
        }
    }
}

impl InUse {
    pub fn conn(&mut self) -> Option<&mut Conn> {
        self.lease.as_mut().map(|lease| &mut lease.connection)
    }

    /// For the next one, if it is at rest.
    pub fn give_back(mut self) {
        if let Some(mut lease) = self.lease.take_if(|lease| lease.connection.is_at_rest()) {
            lease.connection.link.rest();
            lease.give_back();
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        if !lease.connection.awaits || lease.connection.is_over {
            return;
        }
        let client = self.client.clone();
        // It ends with the time that a cancel may take; its place in the pool is taken until then.
        self.client.runtime.spawn(async move {
            cancel(&mut lease.connection, &client.way).await;
        });
    }
}
