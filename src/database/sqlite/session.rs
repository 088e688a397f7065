//! A connection that somebody has for transactions of several steps.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::hold::hold;
use super::query::{Stop, run};
use super::shared::{InUse, Sqlite};
use super::transaction::{commit, settle};
use crate::database::sink::Sink;
use crate::database::{Effects, Failure, Isolation, Session, Statement, Table, Value};

pub(super) struct Own {
    in_use: InUse,
    client: Arc<Sqlite>,
}

impl Own {
    pub fn new(in_use: InUse, client: Arc<Sqlite>) -> Self {
        Own { in_use, client }
    }

    fn until(&self) -> Instant {
        Instant::now() + self.client.statement_timeout
    }

    /// Sessions are for transactions that write, and each of SQLite is as isolated as can be.
    async fn begin(&mut self) -> Result<(), Failure> {
        let until = self.until();
        self.in_use.writer = Some(self.client.writer(until).await?);
        self.in_use.is_open = true;
        let begun = self.in_use.ask(until, Effects::None, |file, ticket| {
            let begun = file.under(ticket, |connection| {
                connection.execute_batch("BEGIN IMMEDIATE")
            });
            begun?.map_err(|error| settle(file, error.into()))
        });
        match begun.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.ended();
                Err(failure)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn query(&mut self, statement: &Statement, values: &[Value]) -> Result<Table, Failure> {
        let effects = if self.in_use.is_open || !statement.writes {
            Effects::None
        } else {
            Effects::Unknown
        };
        let (until, is_open) = (self.until(), self.in_use.is_open);
        let (statement, values) = (statement.clone(), values.to_vec());
        let table = self.in_use.ask(until, effects, move |file, ticket| {
            let mut table = Table::default();
            let result = file.under(ticket, |connection| {
                // Where it was undone by a failure, what follows would be done outside of it.
                if is_open && connection.is_autocommit() {
                    return Err(Stop::Ours(Failure::Unavailable(
                        "the transaction was undone".to_owned(),
                    )));
                }
                run(
                    connection,
                    ticket,
                    &statement,
                    &values,
                    Sink::Table(&mut table),
                )
            });
            match result? {
                Ok(affected) => {
                    table.affected = affected;
                    Ok(table)
                }
                Err(stop) => Err(settle(file, stop)),
            }
        });
        table.await?
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let until = self.until();
        let is_open = self.in_use.is_open;
        let done = self
            .in_use
            .ask(until, Effects::Unknown, move |file, ticket| {
                let result = file.under(ticket, |connection| {
                    if is_open && connection.is_autocommit() {
                        return Err(Stop::Ours(Failure::Unavailable(
                            "the transaction was undone".to_owned(),
                        )));
                    }
                    commit(connection, ticket)
                });
                let result = result?.map_err(|stop| settle(file, stop));
                file.rest();
                result
            });
        let done = done.await?;
        self.ended();
        done
    }

    async fn hold(&mut self, name: &str) -> Result<bool, Failure> {
        let (until, name) = (self.until(), name.to_owned());
        let held = self.in_use.ask(until, Effects::None, move |file, _| {
            hold(&file.way.place.path, &name)
        });
        self.in_use.held = held.await?.map_err(|error| {
            Failure::Unavailable(format!(
                "the lock beside the file of the database cannot be taken: {}",
                error.kind()
            ))
        })?;
        Ok(self.in_use.held.is_some())
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        let until = self.until();
        let undone = self.in_use.ask(until, Effects::None, |file, _| file.rest());
        undone.await?;
        self.ended();
        Ok(())
    }

    /// Nothing is open any more.
    fn ended(&mut self) {
        self.in_use.is_open = false;
        self.in_use.writer = None;
    }
}

impl Session for Own {
    fn begin(&mut self, _: Option<Isolation>) -> BoxFuture<'_, Result<(), Failure>> {
        Own::begin(self).boxed()
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

    fn hold<'a>(&'a mut self, name: &'a str) -> BoxFuture<'a, Result<bool, Failure>> {
        Own::hold(self, name).boxed()
    }
}
