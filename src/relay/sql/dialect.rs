//! What differs from one kind of database to another: the statements.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::postgres::Postgres;
use super::rows::Encoding;
use crate::database::{Kind, Statement, Table, Value};
use crate::relay::outbox::{Excluded, Failed};
use crate::relay::{Config, Identifier};

/// A statement, and the values of its parameters.
pub(super) type Asked = (Statement, Vec<Value>);

/// The statements of a relay.
pub(super) trait Dialect: Send + Sync {
    /// The columns of the table: the name and the type of each.
    fn describe(&self) -> Asked;

    /// What makes this process the only one that has rows of the table under way, until the transaction ends. The first value
    /// of the answer is whether it is so. It is what a transaction begins with.
    fn lock(&self) -> Asked;

    /// Which rows are next, in their order: the id, the key, the bytes of the payload, and of the other values. There may be
    /// as many as the batch has, and one more.
    fn candidates(&self, known: &Known, but: &Excluded) -> Asked;

    /// Locks rows, but for those that somebody else has locked, and reads them: the id, the payload, the attempts, and the
    /// values that are asked for.
    fn fetch(&self, known: &Known, ids: &[String]) -> Asked;

    /// How the payload stands in the answer to that.
    fn encoding(&self, known: &Known) -> Encoding;

    /// Says that rows are published.
    fn settle_published(&self, known: &Known, ids: &[String]) -> Asked;

    /// Says what became of a row that was not published. None where the table has no place for that.
    fn settle_failed(&self, known: &Known, failed: &Failed) -> Option<Asked>;

    /// All that is asked to settle rows, about no row.
    fn rehearsal(&self, known: &Known, failed: &Failed) -> Vec<Asked>;

    /// Has constraints that are looked at when the transaction ends looked at with each statement, where there are such.
    fn at_once(&self) -> Option<Asked>;

    /// Makes a point to which the transaction can be undone, undoes it to there, and forgets the point.
    fn savepoint(&self) -> [Asked; 3];

    /// How many rows wait, how old the oldest is in seconds, and how many are set aside.
    fn waiting(&self, known: &Known) -> Asked;
}

/// The statements for a kind of database. None for one that relays do not know, which a check reports.
pub(super) fn of(
    kind: Kind,
    config: &Config,
    selected: &Arc<[Identifier]>,
) -> Option<Arc<dyn Dialect>> {
    match kind {
        Kind::Postgres => Some(Arc::new(Postgres::new(config, selected))),
        Kind::MySql | Kind::Sqlite => None,
    }
}

/// What is known of a table: the types of its columns, by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(BTreeMap<String, String>);

impl Known {
    pub fn of(table: &Table) -> Self {
        let text = |value: &Option<bytes::Bytes>| {
            let bytes = value.as_deref().unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let columns = table.rows.iter().filter_map(|row| match row.as_slice() {
            [name, kind, ..] => Some((text(name), text(kind))),
            _ => None,
        });
        Known(columns.collect())
    }

    pub fn has(&self, name: &Identifier) -> bool {
        self.0.contains_key(name.as_str())
    }

    /// The names of all columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The type of a column, as the database calls it.
    pub fn kind(&self, name: &Identifier) -> &str {
        self.0.get(name.as_str()).map_or("", String::as_str)
    }
}
