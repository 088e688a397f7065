//! The same in MariaDB.

mod connections;
mod failures;
mod live;
mod parameters;
mod results;
mod sessions;
mod types;

use super::{config, get, post, state};
use crate::support::{MariaDbServer, Proxy};

/// A proxy whose route `/run` has `block` run by the shared server.
fn proxy(block: &str) -> Proxy {
    Proxy::start(&config(
        &MariaDbServer::shared().url(),
        "",
        &[("/run", block)],
    ))
}

/// A table of one's own, whose name is given.
fn table(columns: &str) -> String {
    let name = format!("t{:x}", fastrand::u64(..));
    MariaDbServer::shared().sql(&format!("create table {name} ({columns})"));
    name
}
