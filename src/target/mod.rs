//! Where a route's requests end: at an upstream, or in an answer made here.
//!
//! A kind of target is one file: its block of the config ([`Block`]), what answers its requests (a
//! [`Handler`](crate::http::handler::Handler)), and its unit tests. It adds its line here, to the list, beside its
//! `mod`: from the list come the keys of a route, their checks, what `GET /routes` shows, and what is built.

use serde::{Deserialize, Serialize};

use crate::value::exposition::Metric;

mod block;
mod files;
mod forward;
mod health;
mod list;
mod mirror;
mod publish;
mod recipient;
mod redirect;
mod rehearsal;
mod respond;
mod rewrite;
mod settle;
mod split;
mod sql;
#[cfg(test)]
mod tests;
mod upstream;

pub use block::{Asked, Block, Build, Database, Named, Opened, Options};
pub use health::{Part, Seen};
pub use list::Targets;
pub use rehearsal::{End, Reached, Rehearsal, Rehearsing};
pub use settle::SettleUpstream;

/// What is counted of targets.
pub const METRICS: &[Metric] = &[
    mirror::MIRRORED,
    publish::PUBLISHED,
    publish::DURATION,
    sql::STATEMENTS,
    sql::DURATION,
];

list::targets! {
    not built: ;
    /// Forward to this upstream.
    upstream: upstream::Config,
    /// Forward to one of several upstreams, by weight.
    split: split::Config,
    /// Answer here.
    respond: respond::Config,
    /// Send the caller elsewhere.
    redirect: redirect::Config,
    /// Make the request a message for a broker.
    publish: publish::Config,
    /// Serve the files below a directory.
    files: files::Config,
    /// Have a database run a statement.
    sql: sql::Config,
}
