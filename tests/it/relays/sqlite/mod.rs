//! Rows of SQLite.

mod outages;
mod rows;
mod traces;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use super::{COLUMNS, LIMIT, in_order, relays_alone, setup, state, until_state};

/// A file with a table `outbox`.
struct Table(TempDir);

impl Table {
    fn new() -> Table {
        Table::with("wal")
    }

    /// With this journal mode.
    fn with(journal: &str) -> Table {
        let table = Table(tempfile::tempdir().unwrap());
        table.sql(&format!("pragma journal_mode = {journal}"));
        table.sql(
            "create table outbox (id integer primary key autoincrement, aggregate_id text, kind text not null, \
             payload json not null, headers text, content_type text, \
             created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), attempts int not null default 0, \
             error text)",
        );
        table
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("shop.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(30)).unwrap();
        connection
    }

    fn sql(&self, text: &str) {
        self.connection().execute_batch(text).unwrap();
    }

    /// So many rows of 5 keys.
    fn insert(&self, from: u32, to: u32) {
        self.sql(&format!(
            "with recursive n(i) as (select {from} union all select i + 1 from n where i < {to}) \
             insert into outbox (aggregate_id, kind, payload) select 'k' || (i % 5), 'made', i from n"
        ));
    }

    fn text(&self, query: &str) -> Option<String> {
        let connection = self.connection();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn count(&self, condition: &str) -> usize {
        let asked = format!("select count(*) from outbox where {condition}");
        let connection = self.connection();
        let count: u32 = connection.query_row(&asked, [], |row| row.get(0)).unwrap();
        count as usize
    }

    /// Keeps all others from writing until what is given ends.
    fn lock(&self) -> Connection {
        let connection = self.connection();
        connection.execute_batch("begin immediate").unwrap();
        connection
    }
}
