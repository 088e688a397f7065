//! What differs from one kind of database to another: its words.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mariadb::MariaDb;
use super::postgres::Postgres;
use super::rows::Encoding;
use super::sqlite::Sqlite;
use crate::database::{Kind, Scalar, Statement, Table, Type, Value};
use crate::relay::{Identifier, TableName};

/// What the server takes a value for: the type of the column that it is compared with.
pub(super) const INFERRED: Type = Type {
    scalar: Scalar::Inferred,
    is_list: false,
};
pub(super) const INFERRED_LIST: Type = Type {
    scalar: Scalar::Inferred,
    is_list: true,
};
pub(super) const TEXTS: Type = Type {
    scalar: Scalar::Text,
    is_list: true,
};

/// The words of a kind of database. Tables and columns are given in its quotes; the table's rows are called `o`.
pub(super) trait Dialect: Send + Sync {
    fn kind(&self) -> Kind;

    /// Whether rows are locked in a transaction until they are settled; else a lock of the table keeps other processes away.
    fn locks_rows(&self) -> bool {
        true
    }

    /// What a query ends with that locks rows of the table, which is called `o` in it, and leaves out those that are locked.
    fn lock(&self) -> &'static str {
        "for update skip locked"
    }

    fn quoted(&self, name: &Identifier) -> String {
        format!("\"{name}\"")
    }

    /// Asks for the columns of a table: the name and the type of each, and, where its engine has no transactions, what that is
    /// called.
    fn describe(&self, name: &TableName, table: &str, asking: &mut Asking) -> String;

    /// What a transaction that takes rows begins with. Where it gives a value, that is whether the transaction may take some. For
    /// so long at most nothing happens in it.
    fn begin(&self, table: &str, idle: Duration) -> Option<String>;

    /// A value as text.
    fn text(&self, column: &Column<'_>) -> String;

    fn payload(&self, column: &Column<'_>) -> Payload;

    /// The time, as a column takes it.
    fn now(&self, column: &Column<'_>) -> &'static str;

    /// How many seconds ago a column was.
    fn age(&self, column: &Column<'_>) -> String;

    /// The rows with these ids, found by nothing but their ids: what is locked on the way to them may not be another's row.
    fn among(&self, table: &str, id: &Column<'_>, ids: &[String], asking: &mut Asking) -> Among;

    /// That a text is none of these.
    fn none_of(&self, text: &str, list: &[String], asking: &mut Asking) -> String;

    fn delete(&self, among: &Among) -> String {
        format!("delete from {} where {}", among.from, among.condition)
    }

    fn update(&self, among: &Among, sets: &str) -> String {
        let Among { from, condition } = among;
        format!("update {from} set {sets} where {condition}")
    }

    /// Has constraints that are looked at when the transaction ends looked at with each statement, where there are such.
    fn at_once(&self) -> Option<&'static str> {
        None
    }

    /// What to listen to for new rows. None where nobody tells of them.
    fn channels(&self, _notify: Option<&Identifier>) -> Option<Vec<String>> {
        None
    }
}

/// The words of a kind of database.
pub(super) fn of(kind: Kind) -> Box<dyn Dialect> {
    match kind {
        Kind::Postgres => Box::new(Postgres),
        Kind::MySql => Box::new(MariaDb),
        Kind::Sqlite => Box::new(Sqlite),
    }
}

/// A column of the table.
pub(super) struct Column<'a> {
    pub quoted: String,
    /// Its type, as the database calls it.
    pub kind: &'a str,
}

/// How a payload is read.
pub(super) struct Payload {
    /// What is read, of which the size counts.
    pub written: String,
    /// What is given of it, which is called `payload`.
    pub given: &'static str,
    pub encoding: Encoding,
}

/// Rows that are named by their ids: where they are, and what holds for them there.
pub(super) struct Among {
    pub from: String,
    pub condition: String,
}

/// A statement, and the values of its parameters.
pub(super) type Asked = (Statement, Vec<Value>);

/// The parameters of a statement that is being written.
pub(super) struct Asking {
    kind: Kind,
    types: Vec<Type>,
    values: Vec<Value>,
}

impl Asking {
    pub fn new(kind: Kind) -> Self {
        Asking {
            kind,
            types: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Adds a parameter, and gives what stands for it.
    pub fn bind(&mut self, of: Type, value: Value) -> String {
        self.types.push(of);
        self.values.push(value);
        format!("${}", self.values.len())
    }

    pub fn asked(self, text: &str) -> Asked {
        (Statement::new(text, &self.types, self.kind), self.values)
    }
}

/// What is known of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The types of its columns, by their names.
    columns: BTreeMap<String, String>,
    /// The engine that keeps it, where that has no transactions.
    pub engine: Option<String>,
}

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
        let engine = table.rows.first().and_then(|row| row.get(2));
        Known {
            columns: columns.collect(),
            engine: engine.filter(|engine| engine.is_some()).map(text),
        }
    }

    pub fn has(&self, name: &Identifier) -> bool {
        self.columns.contains_key(name.as_str())
    }

    /// The names of all columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// The type of a column, as the database calls it.
    pub fn kind(&self, name: &Identifier) -> &str {
        self.columns.get(name.as_str()).map_or("", String::as_str)
    }
}
