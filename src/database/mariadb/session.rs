//! A connection that somebody has for transactions of several steps.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::conn::Conn;
use super::query::{Run, Sink, Stop, run};
use super::shared::{InUse, MariaDb};
use super::transaction::{begin, commit, cut_off, rollback};
use crate::database::{Effects, Failure, Isolation, Session, Statement, Table, Value};

pub(super) struct Own {
    in_use: Option<InUse>,
    client: Arc<MariaDb>,
}

impl Own {
    pub fn new(in_use: InUse, client: Arc<MariaDb>) -> Self {
        Own {
            in_use: Some(in_use),
            client,
        }
    }

    fn conn(&mut self) -> Result<&mut Conn, Failure> {
        let conn = self.in_use.as_mut().and_then(InUse::conn);
        conn.filter(|conn| !conn.is_over)
            .ok_or_else(|| Failure::Unavailable("there is no connection".to_owned()))
    }

    async fn begin(&mut self, isolation: Option<Isolation>) -> Result<(), Failure> {
        let limit = self.client.statement_timeout;
        let conn = self.conn()?;
        conn.link.set_deadline(Instant::now() + limit);
        match begin(conn, isolation).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into_failure()),
            Err(broken) => Err(broken.failure(Effects::None, true)),
        }
    }

    async fn query(&mut self, statement: &Statement, values: &[Value]) -> Result<Table, Failure> {
        let client = self.client.clone();
        let conn = self.conn()?;
        let is_within = conn.in_transaction;
        let mut table = Table::default();
        let asked = Run {
            way: &client.way,
            statement,
            values,
            until: Instant::now() + client.statement_timeout,
        };
        match run(conn, &asked, Sink::Table(&mut table)).await {
            Ok(Ok(affected)) if conn.in_transaction || !is_within => {
                table.affected = affected;
                Ok(table)
            }
            Ok(Ok(_)) => Err(Failure::Unknown(
                "a statement has ended the transaction that it is a part of".to_owned(),
            )),
            Ok(Err(Stop::Server(error))) => Err(error.into_failure()),
            Ok(Err(Stop::Ours(failure))) => Err(failure),
            Err(broken) => Err(cut_off(conn, statement, &broken, is_within)),
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
