//! A connection that somebody has for transactions of several steps.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::conn::{Conn, Status};
use super::query::{Batch, Sink, Stop, run};
use super::shared::{InUse, Postgres};
use super::transaction::{begin, commit, rollback};
use crate::database::{Effects, Failure, Isolation, Session, Statement, Table, Value};

pub(super) struct Own {
    in_use: Option<InUse>,
    client: Arc<Postgres>,
}

impl Own {
    pub fn new(in_use: InUse, client: Arc<Postgres>) -> Self {
        Own {
            in_use: Some(in_use),
            client,
        }
    }

    fn conn(&mut self) -> Result<&mut Conn, Failure> {
        let conn = self.in_use.as_mut().and_then(InUse::conn);
        conn.ok_or_else(|| Failure::Unavailable("there is no connection".to_owned()))
    }

    async fn begin(&mut self, isolation: Option<Isolation>) -> Result<(), Failure> {
        let limit = self.client.statement_timeout;
        let conn = self.conn()?;
        conn.link.set_deadline(Instant::now() + limit);
        match conn.command(&begin(isolation)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into_failure()),
            Err(broken) => Err(broken.failure(Effects::None, true)),
        }
    }

    async fn query(&mut self, statement: &Statement, values: &[Value]) -> Result<Table, Failure> {
        let client = self.client.clone();
        let conn = self.conn()?;
        let is_within = conn.status != Status::Idle;
        let mut table = Table::default();
        let batch = Batch {
            first: None,
            statements: std::slice::from_ref(statement),
            values,
            until: Instant::now() + client.statement_timeout,
        };
        let result = run(conn, &client.way, batch, Sink::Table(&mut table)).await;
        match result {
            Ok(Ok(affected)) => {
                table.affected = affected;
                Ok(table)
            }
            Ok(Err(Stop::Server(error))) => Err(error.into_failure()),
            Ok(Err(Stop::Ours(failure))) => Err(failure),
            Err(broken) => {
                let effects = if is_within || !statement.writes {
                    Effects::None
                } else {
                    Effects::Unknown
                };
                Err(broken.failure(effects, is_within))
            }
        }
    }
}

impl Session for Own {
    fn begin(&mut self, isolation: Option<Isolation>) -> BoxFuture<'_, Result<(), Failure>> {
        self.begin(isolation).boxed()
    }

    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        values: &'a [Value],
    ) -> BoxFuture<'a, Result<Table, Failure>> {
        self.query(statement, values).boxed()
    }

    fn commit(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async {
            match commit(self.conn()?).await {
                Ok(()) => Ok(()),
                Err(Stop::Server(error)) => Err(error.into_failure()),
                Err(Stop::Ours(failure)) => Err(failure),
            }
        }
        .boxed()
    }

    fn rollback(&mut self) -> BoxFuture<'_, Result<(), Failure>> {
        async { rollback(self.conn()?).await }.boxed()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(in_use) = self.in_use.take() {
            in_use.give_back();
        }
    }
}
