//! What runs statements.

use std::future::ready;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    Done, Failure, Inspected, Isolation, Objection, Output, State, Statement, Value, Work,
};

/// One database. Connections are made when they are needed. All of it may be called from any thread, within a runtime.
pub trait Client: Send + Sync {
    /// Runs `work` with `values`, those of all its parameters, and has `output` write the rows of the last statement. What
    /// takes longer than until `until`, or than the database's `statement_timeout` once there is a connection, is cancelled. A
    /// future that is dropped cancels it too: then whether a single statement that writes was carried out is not known, and no transaction was.
    ///
    /// # Errors
    /// Why it is not known to be done.
    fn run<'a>(
        &'a self,
        work: &'a Work,
        values: &'a [Value],
        output: &'a mut Output,
        until: Option<Instant>,
    ) -> BoxFuture<'a, Result<Done, Failure>>;

    /// Takes a connection out of the pool, for transactions whose statements follow from one another. Each of its calls has
    /// `statement_timeout`. Dropped, it is given back when no transaction is open, and else closed, which rolls it back.
    ///
    /// # Errors
    /// When there is none.
    fn session(&self) -> BoxFuture<'_, Result<Box<dyn Session>, Failure>>;

    /// Opens a connection beside the pool on which these channels are listened to (PostgreSQL: LISTEN). SQLite has none of them, and
    /// tells of whatever is written to its file.
    ///
    /// # Errors
    /// When there is none, or the kind of database has no such thing.
    fn listen<'a>(
        &'a self,
        channels: &'a [String],
    ) -> BoxFuture<'a, Result<Box<dyn Listening>, Failure>>;

    /// Has the database look at a statement, and run nothing of it.
    ///
    /// # Errors
    /// Why there is nothing to be said of it.
    fn inspect<'a>(
        &'a self,
        statement: &'a Statement,
    ) -> BoxFuture<'a, Result<Inspected, Objection>>;

    /// How it is now.
    fn state(&self) -> State;

    /// Closes what was idle for too long on the worker that calls this.
    fn sweep(&self);
}

/// A connection of one's own.
pub trait Session: Send {
    /// Begins a transaction.
    ///
    /// # Errors
    /// Why it did not begin.
    fn begin(&mut self, isolation: Option<Isolation>) -> BoxFuture<'_, Result<(), Failure>>;

    /// Runs one statement, and gives its rows: at most so many as it is for the caller to limit by the statement.
    ///
    /// # Errors
    /// Why it failed; then the transaction has failed too.
    fn query<'a>(
        &'a mut self,
        statement: &'a Statement,
        values: &'a [Value],
    ) -> BoxFuture<'a, Result<Table, Failure>>;

    /// Ends the transaction. Only its success says that it holds.
    ///
    /// # Errors
    /// Why it does not hold, or that it is not known ([`Failure::Unknown`]).
    fn commit(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Undoes the transaction.
    ///
    /// # Errors
    /// When the connection broke, which undoes it as well.
    fn rollback(&mut self) -> BoxFuture<'_, Result<(), Failure>>;

    /// Takes the lock of this name, which one session of all processes has at a time, until this is dropped. It holds up no statement of
    /// anybody. False where somebody else has it. Only SQLite has such: elsewhere, rows are locked.
    ///
    /// # Errors
    /// When it cannot be taken.
    fn hold<'a>(&'a mut self, _name: &'a str) -> BoxFuture<'a, Result<bool, Failure>> {
        let why = "this kind of database has no such lock";
        Box::pin(ready(Err(Failure::refused(why))))
    }
}

/// Rows as text. None is null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<Bytes>>>,
    /// How many rows were changed or given.
    pub affected: u64,
}

/// Channels that are listened to.
pub trait Listening: Send {
    /// The next notification, however long that takes. Dropping the future loses none.
    ///
    /// # Errors
    /// When the connection was lost: what was told since is lost as well, and one has to listen anew.
    fn next(&mut self) -> BoxFuture<'_, Result<Notification, Failure>>;
}

/// What was told on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub channel: String,
    pub payload: String,
}
