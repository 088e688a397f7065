//! What a kind of server has to say for itself.

use std::future::{Future, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::database::link::Broken;
use crate::database::pool::Pooled;
use crate::database::reach::Address;
use crate::database::sink::Sink;
use crate::database::{
    Failure, Inspected, Isolation, Kind, Listening, Objection, Statement, Value,
};

/// What the server says to something, or that its connection broke.
pub(in crate::database) type Answer<T, E> = Result<Result<T, E>, Broken>;

/// How one kind of server is spoken to, and all that it takes to connect to one of them.
pub(in crate::database) trait Protocol: Sized + Send + Sync + 'static {
    const KIND: Kind;
    type Conn: Connection;
    type Error: ServerError;

    /// Where the server may be, one place behind the other.
    fn addresses(&self) -> &[Address];

    /// Connects and logs in.
    ///
    /// # Errors
    /// Why that failed, for operators.
    fn open(&self, address: &Address) -> impl Future<Output = Result<Self::Conn, String>> + Send;

    /// Runs a command without parameters or rows, and waits for the end of it. False where the server says that it has done
    /// something else, as undoing a transaction that was to be committed.
    fn command(
        &self,
        conn: &mut Self::Conn,
        command: &str,
    ) -> impl Future<Output = Answer<bool, Self::Error>> + Send;

    /// Begins a transaction.
    fn begin(
        &self,
        conn: &mut Self::Conn,
        isolation: Option<Isolation>,
    ) -> impl Future<Output = Answer<(), Self::Error>> + Send;

    /// Runs statements, and says how many rows the last one changed or gave; `sink` takes them. What takes too long is stopped. No
    /// statement is run behind one that failed, nor behind one that has ended the transaction that it was a part of.
    ///
    /// # Errors
    /// When the connection broke, or the server did not answer in time, not even to being told to stop.
    fn run(
        &self,
        conn: &mut Self::Conn,
        batch: Batch<'_>,
        sink: Sink<'_>,
    ) -> impl Future<Output = Answer<u64, Stop<Self::Error>>> + Send;

    /// Has the server stop what it does on a connection that nobody will use again, within a time limit of its own.
    fn stop(&self, conn: &mut Self::Conn) -> impl Future<Output = ()> + Send;

    /// Has the server forget all that belongs to the session. False where that failed.
    fn forget_session(&self, conn: &mut Self::Conn) -> impl Future<Output = bool> + Send;

    /// Where `_error` says that what was prepared does not fit any more, and nothing was run, has the server forget it. True when
    /// what failed can be run again at once.
    fn forget_plans(
        &self,
        _conn: &mut Self::Conn,
        _error: &Self::Error,
    ) -> impl Future<Output = bool> + Send {
        ready(false)
    }

    /// Has the server look at a statement, and run nothing of it.
    ///
    /// # Errors
    /// Why there is nothing to be said of it.
    fn inspect(
        &self,
        conn: &mut Self::Conn,
        statement: &Statement,
        until: Instant,
    ) -> impl Future<Output = Result<Inspected, Objection>> + Send;

    /// Has a connection beside the pool, which `_open` makes, listen to these channels; each may take as long as `_limit`.
    ///
    /// # Errors
    /// When that failed, or the kind of server has no such thing.
    fn listen(
        _open: impl Future<Output = Result<Self::Conn, Failure>> + Send,
        _channels: &[String],
        _limit: Duration,
    ) -> impl Future<Output = Result<Box<dyn Listening>, Failure>> + Send {
        let kind = Self::KIND.name();
        let why = format!("{kind} has no channels that could be listened to");
        ready(Err(Failure::refused(why)))
    }
}

/// A connection that is logged in.
pub(in crate::database) trait Connection: Pooled {
    /// From now on, waiting for longer than until `at` is an error.
    fn set_deadline(&mut self, at: Instant);

    /// The version of the server.
    fn version(&self) -> &str;

    /// Something stands between this proxy and the server, which sees to sessions itself.
    fn is_pooled(&self) -> bool {
        false
    }

    /// Whether the server has answered all that it was asked, and the connection is of use for something else.
    fn is_answered(&self) -> bool;

    /// Whether a transaction is open, by what the server said last.
    fn in_transaction(&self) -> bool;

    /// Whether the next one may have it.
    fn is_at_rest(&self) -> bool {
        self.is_answered() && !self.in_transaction()
    }

    /// Whether nothing of an earlier use can be left in its session.
    fn is_fresh(&self) -> bool {
        true
    }

    /// Whether the server may have begun with what it was asked last.
    fn may_have_run(&self) -> bool {
        true
    }

    /// Whether something may run on it which the server could be told to stop.
    fn can_be_stopped(&self) -> bool;

    /// It is not to be used again.
    fn give_up(&mut self);

    /// Lets go of what a connection at rest does not need.
    fn rest(&mut self);
}

/// What the server says when something failed.
pub(in crate::database) trait ServerError: Send + Sync {
    /// The connection ends with it.
    fn is_fatal(&self) -> bool;

    /// Whoever stands in between has lost the server: what became of the statement is not known.
    fn is_of_the_way(&self) -> bool {
        false
    }

    /// What it means to whoever wanted the statement.
    fn into_failure(self) -> Failure;
}

/// What is to be run, and until when.
#[derive(Clone, Copy)]
pub(in crate::database) struct Batch<'a> {
    /// A transaction begins before the statements. It is not ended behind them.
    pub begins: bool,
    pub isolation: Option<Isolation>,
    pub statements: &'a [Statement],
    /// Those of all parameters.
    pub values: &'a [Value],
    /// When it is stopped.
    pub until: Instant,
}

/// Why statements did not come to their end.
#[derive(Debug)]
pub(in crate::database) enum Stop<E> {
    Server(Box<E>),
    /// The statement has done its part, and the result is not what was wanted; or it was never begun.
    Ours(Failure),
}

impl<E: ServerError> Stop<E> {
    pub fn into_failure(self) -> Failure {
        match self {
            Stop::Server(error) => error.into_failure(),
            Stop::Ours(failure) => failure,
        }
    }
}
