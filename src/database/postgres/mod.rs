//! PostgreSQL, by the protocol of its frontends (version 3.0).
//!
//! How messages are written and read, and what proves a login (SCRAM, MD5), is `postgres_protocol`'s, the part of tokio-postgres
//! that does no input and output. A [`connection`](conn) is opened by [`open`], and reads no message before its length is known to be
//! one that it may have; [`query`] runs statements on it, all of a transaction in one go. Rows come as text, which [`row`] makes JSON. Statements are prepared once for each connection,
//! unless the backend that answers is not the one that was connected to: then a pooler (pgbouncer, for one) stands in between,
//! which may have each statement run elsewhere, and they go without a name, with their types declared.
//!
//! What takes too long, or is not wanted any more, is [cancelled](cancel). A connection on which something was cancelled is closed:
//! a cancel that comes late finds no other statement on it.

#[cfg(feature = "postgres")]
mod array;
#[cfg(feature = "postgres")]
mod cancel;
#[cfg(feature = "postgres")]
mod conn;
#[cfg(feature = "postgres")]
mod error;
#[cfg(feature = "postgres")]
mod inspect;
#[cfg(feature = "postgres")]
mod listen;
#[cfg(feature = "postgres")]
mod login;
#[cfg(feature = "postgres")]
mod oid;
#[cfg(feature = "postgres")]
mod open;
#[cfg(feature = "postgres")]
mod prepared;
#[cfg(feature = "postgres")]
mod protocol;
#[cfg(feature = "postgres")]
mod query;
#[cfg(feature = "postgres")]
mod row;
#[cfg(feature = "postgres")]
#[cfg(test)]
mod tests;
#[cfg(feature = "postgres")]
mod url;
#[cfg(feature = "postgres")]
mod wire;

#[cfg(feature = "postgres")]
pub(super) use protocol::connect;
#[cfg(feature = "postgres")]
pub(super) use url::check as check_url;
