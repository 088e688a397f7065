//! Statements in SQLite, through the real program; the file is looked at, written and replaced by another process, which is
//! this one.

mod connections;
mod failures;
mod files;
mod live;
mod parameters;
mod results;
mod types;

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Proxy, Response};

/// A query that never ends.
const ENDLESS: &str =
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as n from n";

/// A file of one's own.
struct Data(TempDir);

impl Data {
    fn new(schema: &str) -> Data {
        let data = Data(tempfile::tempdir().unwrap());
        data.connection().execute_batch(schema).unwrap();
        data
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("shop.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    /// Past the proxy.
    fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// What a query of one value gives past the proxy.
    fn number(&self, query: &str) -> i64 {
        let connection = self.connection();
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn proxy(&self, database: &str, routes: &[(&str, &str)]) -> Proxy {
        Proxy::start(&config(&self.url(), database, routes))
    }
}

/// A config with the database `main`, and a route for each path.
fn config(url: &str, database: &str, routes: &[(&str, &str)]) -> String {
    let mut text = format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[databases.main]\nurl = {{ value = {url:?} }}\n{database}\n"
    );
    for (number, (path, block)) in routes.iter().enumerate() {
        text.push_str(&format!(
            "[routes.r{number}]\nmatch.path = {path:?}\n[routes.r{number}.sql]\ndatabase = \"main\"\n{block}\n"
        ));
    }
    text
}

fn get(proxy: &Proxy, target: &str) -> Response {
    proxy.client().request("GET", target, &[], "")
}

fn post(proxy: &Proxy, target: &str, body: &str) -> Response {
    let fields = [("content-type", "application/json")];
    proxy.client().request("POST", target, &fields, body)
}

/// What `GET /databases` tells of the one that there is.
fn state(proxy: &Proxy) -> Value {
    proxy.admin("GET", "/databases", "").json()[0].clone()
}
