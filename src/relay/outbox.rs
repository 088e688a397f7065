//! The table in which rows wait, as a relay sees it.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::row::Row;

/// A table in which rows wait to be published. Whoever calls bounds the time; a future that is dropped leaves the rows as
/// they were, or not known to be settled.
pub trait Outbox: Send + Sync {
    /// Takes the next rows in their order, none of those that `but` names. Nobody else takes rows of the table until they
    /// are settled.
    ///
    /// # Errors
    /// Why there is nothing to be had from the table.
    fn take<'a>(&'a self, but: &'a Excluded) -> BoxFuture<'a, Result<Taken, Trouble>>;

    /// How much waits.
    ///
    /// # Errors
    /// Why that is not known.
    fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Trouble>>;

    /// Has oneself told of new rows. None where nobody tells.
    fn listen(&self) -> Option<BoxFuture<'_, Result<Box<dyn Bell>, Trouble>>>;
}

/// Rows that are held back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excluded {
    /// All rows with these keys.
    pub keys: Vec<String>,
    /// These rows.
    pub ids: Vec<String>,
}

/// What became of taking rows.
pub enum Taken {
    /// Somebody else has rows of this table under way.
    Elsewhere,
    Rows {
        rows: Vec<Row>,
        /// Whether there may be more.
        more: bool,
        lock: Box<dyn Lock>,
    },
}

/// Rows that were taken. Dropped, they are as they were.
pub trait Lock: Send {
    /// Says what became of the rows. Those that it does not name are as they were. Gives those of which the table does not
    /// take it: they are as they were, too.
    ///
    /// # Errors
    /// Why it is not known to hold: they come again.
    fn settle(self: Box<Self>, settled: Settled)
    -> BoxFuture<'static, Result<Vec<Stuck>, Trouble>>;
}

/// A row of which the table does not take what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub id: String,
    /// In a sentence that is safe to show.
    pub why: String,
}

/// What became of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The ids of those that the broker has.
    pub published: Vec<String>,
    pub failed: Vec<Failed>,
}

/// A row that was not published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub id: String,
    /// How often it has failed.
    pub attempts: u32,
    /// Why it is set aside, if it is.
    pub aside: Option<String>,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many rows, those that are set aside not counted. At most [`Waiting::MOST`].
    pub rows: u64,
    /// How old the oldest of them is, where the table notes that.
    pub oldest: Option<Duration>,
    /// How many are set aside, where the table notes that. At most [`Waiting::MOST`].
    pub aside: Option<u64>,
}

impl Waiting {
    /// More are not counted: it would take long.
    pub const MOST: u64 = 100_000;
}

/// Tells of new rows.
pub trait Bell: Send {
    /// Completes when there are new rows. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When it will not tell any more.
    fn rings(&mut self) -> BoxFuture<'_, Result<(), Trouble>>;
}

/// Why there is nothing to be had from the database, in a sentence that is safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);
