//! Statements in PostgreSQL and MariaDB, through the real program and against real servers.

mod connections;
mod failures;
#[cfg(feature = "mysql")]
mod mariadb;
mod parameters;
mod pooler;
mod results;
mod types;

use serde_json::Value;

use crate::support::{PostgresServer, Proxy, Response};

/// A proxy whose route `/run` has `block` run by the shared server.
fn proxy(block: &str) -> Proxy {
    Proxy::start(&config(
        &PostgresServer::shared().url(),
        "",
        &[("/run", block)],
    ))
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

/// A table of one's own, whose name is given.
fn table(columns: &str) -> String {
    let name = format!("t{:x}", fastrand::u64(..));
    PostgresServer::shared().sql(&format!("create table {name} ({columns})"));
    name
}

/// Texts that have broken into statements elsewhere, in many combinations.
fn injections() -> Vec<String> {
    const OPENINGS: [&str; 12] = [
        "'",
        "\"",
        "`",
        "\\'",
        "')",
        "1",
        "$$",
        "*/",
        "\u{2019}",
        "\u{ff07}",
        "%27",
        "\u{5c}\u{27}",
    ];
    const ATTACKS: [&str; 15] = [
        " or 1=1",
        "; drop table orders",
        "; select pg_sleep(60)",
        " union select usename, passwd from pg_shadow",
        " and sleep(60)",
        "; copy x to program 'id'",
        " or ''='",
        "|| (select version())",
        " into outfile '/tmp/x'",
        "; attach database 'x' as y",
        " limit 1 offset 0 procedure analyse()",
        "; begin; delete from orders; commit",
        " $1 ? :name @@version",
        "\n--\r\n; vacuum",
        "\u{0001}\u{007f}\u{202e}😀",
    ];
    const ENDINGS: [&str; 3] = [" --", " #", " /*"];
    let mut all = Vec::new();
    for opening in OPENINGS {
        for attack in ATTACKS {
            all.extend(
                ENDINGS
                    .iter()
                    .map(|ending| format!("{opening}{attack}{ending}")),
            );
        }
    }
    all
}
