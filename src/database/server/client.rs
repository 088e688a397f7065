//! The client of one server.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::lease::Server;
use super::protocol::{Connection, Protocol};
use super::session::Own;
use super::transaction::carry_out;
use crate::database::config::Reset;
use crate::database::down::Down;
use crate::database::pool::Pool;
use crate::database::tries::Tries;
use crate::database::{
    Client, Config, Done, Failure, Inspected, Listening, Objection, Output, Session, State,
    Statement, Value, Work,
};

/// A client, which connects when something is to be run.
pub(in crate::database) fn connect<P: Protocol>(
    name: &str,
    config: &Config,
    runtime: &Handle,
    protocol: P,
) -> Arc<dyn Client> {
    Arc::new(Shared(Arc::new(Server {
        protocol,
        pool: Pool::new(&config.pool),
        down: Down::new(name),
        runtime: runtime.clone(),
        statement_timeout: config.statement_timeout.0,
        connect_timeout: config.connect_timeout.0,
        resets: config.reset == Reset::Always,
        seen: Mutex::default(),
    })))
}

/// The client: [`Server`], which its connections have a hold on while somebody uses them.
struct Shared<P: Protocol>(Arc<Server<P>>);

impl<P: Protocol> Client for Shared<P> {
    fn run<'a>(
        &'a self,
        work: &'a Work,
        values: &'a [Value],
        output: &'a mut Output,
        until: Option<Instant>,
    ) -> BoxFuture<'a, Result<Done, Failure>> {
        run(&self.0, work, values, output, until).boxed()
    }

    fn session(&self) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>> {
        async {
            let in_use = self.0.lease(None).await?;
            let session: Box<dyn Session> = Box::new(Own::new(in_use));
            Ok(session)
        }
        .boxed()
    }

    fn listen<'a>(
        &'a self,
        channels: &'a [String],
    ) -> BoxFuture<'a, Result<Box<dyn Listening>, Failure>> {
        P::listen(self.0.open(), channels, self.0.statement_timeout).boxed()
    }

    fn inspect<'a>(
        &'a self,
        statement: &'a Statement,
    ) -> BoxFuture<'a, Result<Inspected, Objection>> {
        inspect(&self.0, statement).boxed()
    }

    fn state(&self) -> State {
        self.0.state()
    }

    fn sweep(&self) {
        self.0.pool.sweep();
    }
}

/// Runs `work`, again where it went against another transaction and there is time.
async fn run<P: Protocol>(
    server: &Arc<Server<P>>,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Option<Instant>,
) -> Result<Done, Failure> {
    let mut in_use = server.lease(until).await?;
    output.is_connected();
    let limit = Instant::now() + server.statement_timeout;
    let until = until.map_or(limit, |until| until.min(limit));
    let mut tries = Tries::default();
    loop {
        let (conn, server) = in_use.parts()?;
        let result = carry_out(server, conn, work, values, output, until).await;
        let is_free = conn.is_at_rest() && !output.has_begun();
        let wait = match &result {
            Err(Failure::Conflict(_)) if is_free => {
                tries.next(until.saturating_duration_since(Instant::now()))
            }
            _ => None,
        };
        let Some(wait) = wait else {
            in_use.give_back();
            return result;
        };
        output.reset();
        tokio::time::sleep(wait).await;
    }
}

async fn inspect<P: Protocol>(
    server: &Arc<Server<P>>,
    statement: &Statement,
) -> Result<Inspected, Objection> {
    let none = |_: Failure| server.down.unreachable("there is no connection");
    let mut in_use = server.lease(None).await.map_err(none)?;
    let until = Instant::now() + server.statement_timeout;
    let (conn, server) = in_use.parts().map_err(none)?;
    conn.set_deadline(until);
    let inspected = server.protocol.inspect(conn, statement, until).await;
    in_use.give_back();
    inspected
}
