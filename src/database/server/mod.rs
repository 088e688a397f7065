//! Databases that are servers: connections to one, work that is run on them, and what becomes of one that is given up in the
//! middle of something.
//!
//! What a kind of server has to say for itself is a [`Protocol`] with its [`Connection`]: how one logs in, runs statements, has the
//! server stop. All else is here, for all kinds: a connection is [leased](lease) out of the pool or made, a
//! [transaction] is committed or undone by what the server says of it, work that went against another transaction is tried again,
//! and a [session] is somebody's own as long as it is wanted.

mod client;
#[cfg(test)]
mod fake;
mod kept;
mod lease;
mod protocol;
mod session;
#[cfg(test)]
mod tests;
mod transaction;

pub(super) use client::connect;
pub(super) use kept::Kept;
pub(super) use protocol::{Answer, Batch, Connection, Protocol, ServerError, Stop};
#[cfg(all(test, feature = "postgres"))]
pub(super) use transaction::commit;
