//! Statements in PostgreSQL and MariaDB, through the real program and against real servers.

mod connections;
mod drill;
mod failures;
mod live;
#[cfg(feature = "mysql")]
mod mariadb;
mod parameters;
mod policies;
mod pooler;
mod results;
mod secured;
mod sessions;
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
