//! The client of one database.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::changes::Changes;
use super::file::Way;
use super::inspect::inspect;
use super::session::Own;
use super::shared::Sqlite;
use super::transaction::carry_out;
use super::url;
use crate::database::config::Prepare;
use crate::database::down::Down;
use crate::database::pool::Pool;
use crate::database::{
    Checked, Client, Done, Effects, Failure, Inspected, Listening, Objection, Output, Session,
    State, Statement, Value, Work,
};

/// A client, which opens the file when something is to be run.
pub(in crate::database) fn connect(
    name: &str,
    config: &Checked,
    runtime: &Handle,
) -> Option<Arc<dyn Client>> {
    let block = &config.config;
    let way = Way {
        place: url::parse(config.url()).ok()?,
        prepares: block.prepare == Prepare::Auto,
        connect_timeout: block.connect_timeout.0,
        down: Down::new(name),
    };
    let limit = block.statement_timeout.0;
    let client = Sqlite::new(way, Pool::new(&block.pool), runtime, limit);
    Some(Arc::new(Shared(Arc::new(client))))
}

/// The client: [`Sqlite`], which its connections have a hold on while somebody uses them.
struct Shared(Arc<Sqlite>);

impl Client for Shared {
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
            let until = Instant::now() + self.0.statement_timeout;
            let in_use = self.0.lease(until).await?;
            let session: Box<dyn Session> = Box::new(Own::new(in_use, self.0.clone()));
            Ok(session)
        }
        .boxed()
    }

    fn listen<'a>(&'a self, _: &'a [String]) -> BoxFuture<'a, Result<Box<dyn Listening>, Failure>> {
        let changes = match Changes::of(&self.0.way.place.path) {
            Ok(changes) => Ok(Box::new(changes) as Box<dyn Listening>),
            Err(error) => Err(Failure::Unavailable(format!(
                "there is no thread that looks at the file: {error}"
            ))),
        };
        ready(changes).boxed()
    }

    fn inspect<'a>(
        &'a self,
        statement: &'a Statement,
    ) -> BoxFuture<'a, Result<Inspected, Objection>> {
        inspect(&self.0, statement).boxed()
    }

    fn state(&self) -> State {
        let version = rusqlite::version().to_owned();
        let pool = &self.0.pool;
        pool.state(&self.0.way.down, Some(version), false)
    }

    fn sweep(&self) {
        self.0.pool.sweep();
    }
}

async fn run(
    client: &Arc<Sqlite>,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Option<Instant>,
) -> Result<Done, Failure> {
    let limit = Instant::now() + client.statement_timeout;
    let until = until.map_or(limit, |until| until.min(limit));
    // Who waits for those that write has no connection meanwhile.
    let writer = if work.writes() {
        Some(client.writer(until).await?)
    } else {
        None
    };
    let mut in_use = client.lease(until).await?;
    in_use.writer = writer;
    output.is_connected();
    let effects = if work.writes() {
        Effects::Unknown
    } else {
        Effects::None
    };
    let (work, values, mut taken) = (work.clone(), values.to_vec(), output.take());
    let job = in_use.ask(until, effects, move |file, ticket| {
        let result = carry_out(file, ticket, &work, &values, &mut taken);
        (result, taken)
    });
    let (result, given) = job.await?;
    *output = given;
    result
}
