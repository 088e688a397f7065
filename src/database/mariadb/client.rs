//! The client of one database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::inspect::inspect;
use super::open::Way;
use super::session::Own;
use super::shared::MariaDb;
use super::transaction::carry_out;
use super::url;
use crate::database::config::Prepare;
use crate::database::down::Down;
use crate::database::pool::Pool;
use crate::database::url::Encrypted;
use crate::database::{
    Checked, Client, Done, Failure, Inspected, Listening, Objection, Output, Session, State,
    Statement, Value, Work,
};
use crate::net::backoff::{Backoff, Jitter};
use crate::net::resolve::SystemResolver;

/// Between two tries of a transaction that went against another one.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(200),
    jitter: Jitter::Full,
};
/// How often one is tried, if there is time.
const MOST_TRIES: u32 = 20;

/// A client, which connects when something is to be run.
pub(in crate::database) fn connect(
    name: &str,
    config: &Checked,
    runtime: &Handle,
) -> Option<Arc<dyn Client>> {
    let block = &config.config;
    let servers = url::parse(config.url()).ok()?;
    let tls = config
        .tls()
        .filter(|_| servers.encrypted != Encrypted::Never);
    Some(Arc::new(Shared(Arc::new(MariaDb {
        way: Way {
            servers,
            tls: tls.cloned(),
            resolver: Arc::new(SystemResolver::new()),
            prepares: block.prepare == Prepare::Auto,
            statement_timeout: block.statement_timeout.0,
        },
        pool: Pool::new(&block.pool),
        down: Down::new(name),
        runtime: runtime.clone(),
        statement_timeout: block.statement_timeout.0,
        connect_timeout: block.connect_timeout.0,
        max_connections: block.pool.max_connections,
        seen: Mutex::default(),
    }))))
}

/// The client: [`MariaDb`], which its connections have a hold on while somebody uses them.
struct Shared(Arc<MariaDb>);

impl Client for Shared {
    fn run<'a>(
        &'a self,
        work: &'a Work,
        values: &'a [Value],
        output: &'a mut Output,
        until: Option<Instant>,
    ) -> BoxFuture<'a, Result<Done, Failure>> {
        Box::pin(run(&self.0, work, values, output, until))
    }

    fn session(&self) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        async {
            let in_use = self.0.lease(None).await?;
            let session: Box<dyn Session> = Box::new(Own::new(in_use, self.0.clone()));
            Ok(session)
        }
        .boxed()
    }

    fn listen<'a>(
        &'a self,
        _channels: &'a [String],
    ) -> BoxFuture<'a, Result<Box<dyn Listening>, Failure>> {
        let why = "MariaDB has no channels that could be listened to";
        ready(Err(Failure::Refused(why.to_owned()))).boxed()
    }

    fn inspect<'a>(
        &'a self,
        statement: &'a Statement,
    ) -> BoxFuture<'a, Result<Inspected, Objection>> {
        inspect(&self.0, statement).boxed()
    }

    fn state(&self) -> State {
        let this = &self.0;
        let (in_use, idle, waiting) = this.pool.counts();
        let seen = this.seen.lock().unwrap_or_else(PoisonError::into_inner);
        State {
            connected: this.down.is_connected(),
            last_error: this.down.last_error(),
            version: seen.clone(),
            is_pooled: false,
            in_use,
            idle,
            waiting,
            max_connections: this.max_connections,
        }
    }

    fn sweep(&self) {
        self.0.pool.sweep();
    }
}

/// Runs `work`, again where it went against another transaction and there is time.
async fn run(
    client: &Arc<MariaDb>,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Option<Instant>,
) -> Result<Done, Failure> {
    let mut in_use = client.lease(until).await?;
    let limit = Instant::now() + client.statement_timeout;
    let until = until.map_or(limit, |until| until.min(limit));
    let mut tries = 0;
    loop {
        let Some(conn) = in_use.conn() else {
            return Err(Failure::Unavailable("there is no connection".to_owned()));
        };
        let result = carry_out(conn, &client.way, work, values, output, until).await;
        let is_at_rest = conn.is_at_rest();
        let wait = AGAIN.after(tries);
        tries += 1;
        let again = matches!(result, Err(Failure::Conflict(_)))
            && is_at_rest
            && !output.has_begun()
            && tries < MOST_TRIES
            && Instant::now() + wait < until;
        if !again {
            in_use.give_back();
            return result;
        }
        output.reset();
        tokio::time::sleep(wait).await;
    }
}
