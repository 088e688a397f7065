//! PostgreSQL, by the protocol of its frontends (version 3.0).
//!
//! A [`connection`](conn) is opened by [`open`] and speaks frames ([`frame`], [`wire`]); [`query`] runs statements on it, and
//! [`transaction`] several of them. Rows come as text, which [`row`] makes JSON. Statements are prepared once for each connection,
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
mod client;
#[cfg(feature = "postgres")]
mod conn;
#[cfg(feature = "postgres")]
mod error;
#[cfg(feature = "postgres")]
mod frame;
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
mod query;
#[cfg(feature = "postgres")]
mod row;
#[cfg(feature = "postgres")]
mod session;
#[cfg(feature = "postgres")]
mod shared;
#[cfg(feature = "postgres")]
mod transaction;
#[cfg(feature = "postgres")]
mod url;
#[cfg(feature = "postgres")]
mod wire;

#[cfg(feature = "postgres")]
pub(super) use client::connect;
#[cfg(feature = "postgres")]
pub(super) use url::check as check_url;
