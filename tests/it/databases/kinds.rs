//! The kinds of databases, and what differs in the words that one says to them.

use std::sync::MutexGuard;

use serde_json::{Value, json};

use super::config;
#[cfg(feature = "mysql")]
use crate::support::MariaDbServer;
#[cfg(feature = "postgres")]
use crate::support::PostgresServer;
use crate::support::Proxy;

/// A database of this kind, as a test needs it.
pub trait Kind: Sync {
    /// As `GET /databases` calls it.
    const NAME: &'static str;
    /// What stands in its version.
    const VERSION: &'static str;
    /// What nobody is shown of its URL.
    const SECRET: &'static str;
    /// A query of one number that goes on for half a minute at the least.
    const LONG: &'static str;
    /// A query that goes on for some milliseconds, where others get a turn meanwhile.
    const PAUSE: &'static str;
    /// `a`, a text of $1 characters, in $2 rows.
    const ROWS: &'static str;
    /// Such sizes and counts as are too large.
    const TOO_LARGE: &'static [&'static str];
    /// Its parameters as the columns a, b, c and d, the last one of the type that follows.
    const FOUR: &'static str;
    const FOURTH: &'static str;
    /// What the fourth does not take, in JSON.
    const UNFIT: &'static [&'static str];
    /// A column `id` that numbers itself.
    const NUMBERED: &'static str;
    /// What is the same as $1 to the letter.
    const EXACTLY: &'static str;
    /// What stands for a table that is not there, in the detail of an error.
    const NO_TABLE: &'static str;

    fn new() -> Self;

    fn url(&self) -> String;

    /// Runs a statement past the proxy; gives what it tells, a line a row.
    fn sql(&self, statement: &str) -> String;

    /// What makes another thing of `table (id bigint)`, and what its row with the id 1 is then.
    fn altered(table: &str) -> (String, Value);

    /// A query of one column `j` that is a document with a line's end within, where the kind has documents.
    fn document(&self) -> Option<String> {
        None
    }

    /// What "true" is.
    fn yes() -> Value {
        json!(true)
    }

    /// How many statements run that have this text in them, as far as the database tells.
    fn running(&self, _text: &str) -> Option<usize> {
        None
    }

    /// Whether a statement that is stopped may end as if it had not been.
    fn may_end_all_the_same() -> bool {
        false
    }

    /// That nobody reads what nobody waits for, where that is in somebody's way.
    fn assert_unread(&self) {}

    /// A table of one's own, whose name is given.
    fn table(&self, columns: &str) -> String {
        let name = format!("t{:x}", fastrand::u64(..));
        self.sql(&format!("create table {name} ({columns})"));
        name
    }

    fn number(&self, query: &str) -> usize {
        self.sql(query).parse().unwrap()
    }

    fn proxy(&self, database: &str, routes: &[(&str, &str)]) -> Proxy {
        Proxy::start(&config(&self.url(), database, routes))
    }
}

/// One that is a server.
pub trait Server: Kind {
    /// What names the session that answers, as `a`.
    const SESSION: &'static str;
    /// The code with which a wrong password is refused.
    const WRONG_PASSWORD: &'static str;

    /// One that is stopped and killed, and what keeps others from it meanwhile.
    fn fragile() -> (MutexGuard<'static, ()>, Self);
    fn stop(&self);
    fn again(&self);
}

#[cfg(feature = "postgres")]
pub struct Postgres(PostgresServer);

#[cfg(feature = "postgres")]
impl Kind for Postgres {
    const NAME: &'static str = "PostgreSQL";
    const VERSION: &'static str = ".";
    const SECRET: &'static str = "secret@";
    const LONG: &'static str = "select count(*) as a from pg_sleep(30)";
    const PAUSE: &'static str = "select pg_sleep(0.02)";
    // Where the series stands among the columns, the server sends rows while it makes more of them.
    const ROWS: &'static str = "select repeat('x', $1) as a, generate_series(1, $2) as i";
    const TOO_LARGE: &'static [&'static str] = &["size=20000000&rows=1", "size=1&rows=3000000"];
    const FOUR: &'static str = "select $1 as a, $2 as b, $3 as c, $4 as d";
    const FOURTH: &'static str = "float8";
    const UNFIT: &'static [&'static str] = &["\"much\""];
    const NUMBERED: &'static str = "id int8 generated always as identity";
    const EXACTLY: &'static str = "$1";
    const NO_TABLE: &'static str = "42P01";

    fn new() -> Self {
        Postgres(PostgresServer::shared())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn sql(&self, statement: &str) -> String {
        self.0.sql(statement)
    }

    fn altered(table: &str) -> (String, Value) {
        let alter = format!("alter table {table} alter id type text, add b bool");
        (alter, json!({ "id": "1", "b": null }))
    }

    fn document(&self) -> Option<String> {
        Some("select E'{\\\"a\\\":\\n1}'::json as j".to_owned())
    }

    fn running(&self, text: &str) -> Option<usize> {
        let count = format!(
            "select count(*) from pg_stat_activity where state = 'active' and query like '%{text}%' and pid <> pg_backend_pid()"
        );
        Some(self.number(&count))
    }
}

#[cfg(feature = "postgres")]
impl Server for Postgres {
    const SESSION: &'static str = "select pg_backend_pid() as a";
    const WRONG_PASSWORD: &'static str = "28P01";

    fn fragile() -> (MutexGuard<'static, ()>, Self) {
        let (one, server) = PostgresServer::fragile();
        (one, Postgres(server))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn again(&self) {
        self.0.again();
    }
}

#[cfg(feature = "mysql")]
pub struct MariaDb(MariaDbServer);

#[cfg(feature = "mysql")]
impl Kind for MariaDb {
    const NAME: &'static str = "MariaDB";
    const VERSION: &'static str = "MariaDB";
    const SECRET: &'static str = "secret@";
    const LONG: &'static str = "select sleep(30) as a";
    const PAUSE: &'static str = "select sleep(0.02)";
    const ROWS: &'static str = "select repeat('x', $1) as a from seq_1_to_3000000 limit $2";
    const TOO_LARGE: &'static [&'static str] = &["size=15000000&rows=1", "size=1&rows=3000000"];
    const FOUR: &'static str = "select ? as a, ? as b, ? as c, ? as d";
    const FOURTH: &'static str = "float8";
    const UNFIT: &'static [&'static str] = &["\"NaN\""];
    const NUMBERED: &'static str = "id bigint auto_increment primary key";
    const EXACTLY: &'static str = "binary $1";
    const NO_TABLE: &'static str = "1146";

    fn new() -> Self {
        MariaDb(MariaDbServer::shared())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn sql(&self, statement: &str) -> String {
        self.0.sql(statement)
    }

    fn altered(table: &str) -> (String, Value) {
        let alter = format!("alter table {table} modify id text, add b bool");
        (alter, json!({ "id": "1", "b": null }))
    }

    fn yes() -> Value {
        json!(1)
    }

    fn running(&self, text: &str) -> Option<usize> {
        let count = format!(
            "select count(*) from information_schema.processlist where info like '%{text}%' and id <> connection_id()"
        );
        Some(self.number(&count))
    }

    fn may_end_all_the_same() -> bool {
        // A sleep that is stopped late may end as if it had been slept.
        true
    }
}

#[cfg(feature = "mysql")]
impl Server for MariaDb {
    const SESSION: &'static str = "select connection_id() as a";
    const WRONG_PASSWORD: &'static str = "1045";

    fn fragile() -> (MutexGuard<'static, ()>, Self) {
        let (one, server) = MariaDbServer::fragile();
        (one, MariaDb(server))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn again(&self) {
        self.0.again();
    }
}

/// A file of one's own.
#[cfg(feature = "sqlite")]
pub struct Sqlite(crate::sqlite::Data);

#[cfg(feature = "sqlite")]
impl Kind for Sqlite {
    const NAME: &'static str = "SQLite";
    const VERSION: &'static str = "3.";
    const SECRET: &'static str = "shop.db";
    const LONG: &'static str = crate::sqlite::ENDLESS;
    // Those who write do so one by one.
    const PAUSE: &'static str = "select 1";
    const ROWS: &'static str = "with recursive n(i) as (select 1 union all select i + 1 from n where i < $2) select hex(zeroblob($1 / 2)) as a from n";
    const TOO_LARGE: &'static [&'static str] = &[
        "size=20000000&rows=1",
        // More than may be in memory on the way there.
        "size=200000000&rows=1",
        "size=2&rows=300000000",
    ];
    const FOUR: &'static str = "select $1 as a, $2 as b, $3 as c, $4 as d";
    const FOURTH: &'static str = "numeric";
    const UNFIT: &'static [&'static str] = &["123456789012345678.5", "\"NaN\""];
    const NUMBERED: &'static str = "id integer primary key";
    const EXACTLY: &'static str = "$1";
    const NO_TABLE: &'static str = "SQLITE_ERROR";

    fn new() -> Self {
        Sqlite(crate::sqlite::Data::new("pragma journal_mode = wal"))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    fn sql(&self, statement: &str) -> String {
        self.0.told(statement)
    }

    fn altered(table: &str) -> (String, Value) {
        let alter = format!("alter table {table} add b boolean default 1");
        (alter, json!({ "id": 1, "b": true }))
    }

    fn document(&self) -> Option<String> {
        let table = self.table("j json");
        self.sql(&format!("insert into {table} values ('{{\"a\":\n1}}')"));
        Some(format!("select j from {table}"))
    }

    fn yes() -> Value {
        json!(1)
    }

    fn assert_unread(&self) {
        // No reader is left that would keep the log of writes from being emptied.
        let connection = self.0.connection();
        let busy = connection.query_row("pragma wal_checkpoint(truncate)", [], |row| {
            row.get::<_, i64>(0)
        });
        assert_eq!(busy.unwrap(), 0);
    }
}
