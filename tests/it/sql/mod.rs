//! What PostgreSQL and MariaDB have for themselves, beside what holds of every kind of database, against real servers.

mod connections;
mod drill;
mod failures;
mod live;
#[cfg(feature = "mysql")]
mod mariadb;
mod parameters;
mod policies;
mod pooler;
mod secured;
mod sessions;
mod types;

use crate::databases::{config, get, post, state};
use crate::support::{PostgresServer, Proxy};

/// A proxy whose route `/run` has `block` run by the shared server.
fn proxy(block: &str) -> Proxy {
    Proxy::start(&config(
        &PostgresServer::shared().url(),
        "",
        &[("/run", block)],
    ))
}

/// A table of one's own, whose name is given.
fn table(columns: &str) -> String {
    let name = format!("t{:x}", fastrand::u64(..));
    PostgresServer::shared().sql(&format!("create table {name} ({columns})"));
    name
}
