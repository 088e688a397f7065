//! A connection that somebody has for transactions of several steps.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::lease::InUse;
use super::protocol::{Batch, Connection, Protocol, ServerError, Stop};
use super::transaction::{commit, rollback, run};
use crate::database::sink::Sink;
use crate::database::{Effects, Failure, Isolation, Session, Statement, Table, Value};

pub(super) struct Own<P: Protocol>(InUse<P>);

impl<P: Protocol> Own<P> {
    pub fn new(in_use: InUse<P>) -> Self {
        Own(in_use)
    }

    async fn begin(&mut self, isolation: Option<Isolation>) -> Result<(), Failure> {
        let (conn, server) = self.0.parts()?;
        conn.set_deadline(Instant::now() + server.statement_timeout);
        match server.protocol.begin(conn, isolation).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into_failure()),
            Err(broken) => Err(broken.failure(Effects::None, true)),
        }
    }

    async fn query(&mut self, statement: &Statement, values: &[Value]) -> Result<Table, Failure> {
        let (conn, server) = self.0.parts()?;
        let batch = Batch {
            begins: false,
            isolation: None,
            statements: std::slice::from_ref(statement),
            values,
            until: Instant::now() + server.statement_timeout,
        };
        let mut table = Table::default();
        let affected = run(&server.protocol, conn, batch, Sink::Table(&mut table)).await;
        table.affected = affected.map_err(Stop::into_failure)?;
        Ok(table)
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let (conn, server) = self.0.parts()?;
        let held = commit(&server.protocol, conn).await;
        held.map_err(Stop::into_failure)
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        let (conn, server) = self.0.parts()?;
        rollback(&server.protocol, conn).await
    }
}

impl<P: Protocol> Session for Own<P> {
    fn begin(&mut self, isolation: Option<Isolation>) -> BoxFuture<'_, Result<(), Failure>> {
        Own::begin(self, isolation).boxed()
    }

    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        values: &'a [Value],
    ) -> BoxFuture<'a, Result<Table, Failure>> {
        Own::query(self, statement, values).boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Own::commit(self).boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        Own::rollback(self).boxed()
    }
}

impl<P: Protocol> Drop for Own<P> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
