//! One database and its connections, and the hold on one of them.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::file::{File, Way};
use super::thread::Conn;
use super::ticket::Ticket;
use crate::database::pool::{Lease, Pool};
use crate::database::{Effects, Failure};

/// How long a connection may take to end what was given up.
const GRACE: Duration = Duration::from_secs(2);

pub(super) struct Sqlite {
    pub way: Arc<Way>,
    pub pool: Arc<Pool<Conn>>,
    /// The right to write: who waits for it here waits for no lock of the file, and gets it in turn.
    writer: Arc<Semaphore>,
    pub runtime: Handle,
    pub statement_timeout: Duration,
}

/// A connection in use. Dropped in the middle of something, that is ended, and what it has left open is undone, before anybody
/// else gets the connection.
pub(super) struct InUse {
    lease: Option<Lease<Conn>>,
    /// A lock that lasts until nothing runs any more.
    pub held: Option<fs::File>,
    /// While a transaction writes.
    pub writer: Option<OwnedSemaphorePermit>,
    running: Option<(Arc<Ticket>, oneshot::Receiver<()>)>,
    /// Something may be open that has to be undone.
    pub is_open: bool,
    client: Arc<Sqlite>,
}

impl Sqlite {
    pub fn new(
        way: Way,
        pool: Arc<Pool<Conn>>,
        runtime: &Handle,
        statement_timeout: Duration,
    ) -> Self {
        Sqlite {
            way: Arc::new(way),
            pool,
            writer: Arc::new(Semaphore::new(1)),
            runtime: runtime.clone(),
            statement_timeout,
        }
    }

    /// The right to write.
    ///
    /// # Errors
    /// When those before did not end in time.
    pub async fn writer(&self, until: Instant) -> Result<OwnedSemaphorePermit, Failure> {
        let permit = timeout_at(until, self.writer.clone().acquire_owned()).await;
        permit.ok().and_then(Result::ok).ok_or(Failure::Locked)
    }

    /// A connection out of the pool, or a new one.
    pub async fn lease(self: &Arc<Self>, until: Instant) -> Result<InUse, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let mut place = self.pool.take(left).await?;
        let lease = match place.idle.take() {
            Some(lease) => Some(lease),
            None => {
                let conn = Conn::start(&self.way).map_err(|error| {
                    let why = format!("there is no thread for a connection: {error}");
                    self.way.down.failed(why)
                })?;
                place.fill(conn)
            }
        };
        Ok(InUse {
            lease,
            held: None,
            writer: None,
            running: None,
            is_open: false,
            client: self.clone(),
        })
    }
}

impl InUse {
    /// Has something done on the thread of the connection. It is given up when it takes longer than until `until`, or when the future
    /// is dropped.
    ///
    /// # Errors
    /// When its thread does not come to an end of it: then `effects` are what is known of it.
    pub async fn ask<T: Send + 'static>(
        &mut self,
        until: Instant,
        effects: Effects,
        job: impl FnOnce(&mut File, &Arc<Ticket>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let lost = || match effects {
            Effects::None => {
                Failure::Unavailable("the connection to the database broke".to_owned())
            }
            Effects::Unknown => Failure::Unknown("the connection to the database broke".to_owned()),
        };
        let ticket = Ticket::new(until.into_std());
        let (tells, mut told) = oneshot::channel();
        let (ends, ended) = oneshot::channel::<()>();
        let own = ticket.clone();
        let job = Box::new(move |file: &mut File| {
            let _ends = ends;
            // Whoever asked may be gone.
            let _gone = tells.send(job(file, &own));
        });
        let is_given = self
            .lease
            .as_ref()
            .is_some_and(|lease| lease.connection.give(job));
        if !is_given {
            return Err(lost());
        }
        self.running = Some((ticket.clone(), ended));
        let answer = match timeout_at(until, &mut told).await {
            Ok(answer) => answer,
            Err(_) => {
                ticket.give_up();
                match timeout(GRACE, &mut told).await {
                    Ok(answer) => answer,
                    // It is waited for when this is dropped.
                    Err(_) => return Err(Failure::Timeout(effects)),
                }
            }
        };
        self.running = None;
        answer.map_err(|_| lost())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let (Some(lease), writer) = (self.lease.take(), self.writer.take()) else {
            return;
        };
        let (running, held) = (self.running.take(), self.held.take());
        if running.is_none() && !self.is_open {
            lease.give_back();
            return;
        }
        if let Some((ticket, _)) = &running {
            ticket.give_up();
        }
        let (ends, ended) = oneshot::channel::<()>();
        let undo = Box::new(move |file: &mut File| {
            let _ends = ends;
            file.rest();
        });
        let is_given = lease.connection.give(undo);
        // It ends with what runs, which was told to.
        self.client.runtime.spawn(async move {
            if let Some((_, ended)) = running {
                let _ended = ended.await;
            }
            let _ended = ended.await;
            drop((writer, held));
            if is_given {
                lease.give_back();
            }
        });
    }
}
