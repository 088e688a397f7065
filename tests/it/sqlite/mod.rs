//! What SQLite has for itself, beside what holds of every kind of database; the file is looked at, written and replaced by another
//! process, which is this one.

mod connections;
mod failures;
mod files;
mod live;
mod parameters;
mod results;
mod traces;
mod types;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tempfile::TempDir;

use crate::databases::{config, get, post, state};
use crate::support::Proxy;

/// A query that never ends.
pub const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n";

/// A file of one's own.
pub struct Data(TempDir);

impl Data {
    pub fn new(schema: &str) -> Data {
        let data = Data(tempfile::tempdir().unwrap());
        data.connection().execute_batch(schema).unwrap();
        data
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("shop.db")
    }

    pub fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    /// Past the proxy.
    pub fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// What a query of one value gives past the proxy.
    pub fn number(&self, query: &str) -> i64 {
        let connection = self.connection();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Runs a statement past the proxy; gives what it tells, a line a row, its values divided by tabs.
    pub fn told(&self, statement: &str) -> String {
        let connection = self.connection();
        let mut statement = connection.prepare(statement).unwrap();
        let count = statement.column_count();
        let mut rows = statement.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..count).map(|place| match row.get_ref(place).unwrap() {
                ValueRef::Integer(number) => number.to_string(),
                other => String::from_utf8_lossy(other.as_bytes().unwrap()).into_owned(),
            });
            lines.push(values.collect::<Vec<_>>().join("\t"));
        }
        lines.join("\n")
    }

    pub fn proxy(&self, database: &str, routes: &[(&str, &str)]) -> Proxy {
        Proxy::start(&config(&self.url(), database, routes))
    }
}
