//! `[relays.*]`: rows of a table in the application's own database that are published to a broker: the outbox.
//!
//! The application writes a row in the same transaction as what it is about, and both hold or neither does. A relay takes
//! such rows, publishes each, and deletes or marks it once the broker has confirmed its message: what is committed is
//! published at least once. A repeated message has the id of the first.
//!
//! One task a relay ([`runner`]) goes on from transaction to transaction. In each, it takes a lock that only one process has
//! at a time, takes rows that it locks too ([`outbox`], and [`sql`] in the words of each kind of database), publishes them
//! ([`batch`]), says in the table what became of them, and commits. There is no position that it has read up to: a
//! transaction may commit late a row with a lower id. A row that fails holds back later ones of its key ([`held`]).

use crate::value::exposition::Metric;

mod account;
mod batch;
mod config;
mod ear;
#[cfg(test)]
mod fake;
mod gauges;
mod handle;
mod held;
mod identifier;
mod judge;
mod live;
mod message;
mod metrics;
mod outbox;
mod row;
mod runner;
mod settle;
mod span;
mod sql;
mod template;
#[cfg(test)]
mod tests;
mod unsettled;

pub use config::{After, Columns, Config, Publish};
pub use gauges::render_metrics;
pub use handle::{Ends, Relay, Start};
pub use identifier::{Identifier, TableName};
pub use live::check_live;
pub use template::RowTemplate;

pub use crate::trace::Current;

/// What is told of relays.
pub const METRICS: &[Metric] = &[
    metrics::RELAYED,
    metrics::HEALTHY,
    metrics::LAG_ROWS,
    metrics::LAG_SECONDS,
    metrics::HELD,
    metrics::ASIDE,
];
