//! MariaDB and MySQL, by the protocol of their clients.
//!
//! A [`connection`](conn) is opened by [`open`] and speaks packets ([`packet`], [`wire`]); [`query`] prepares a statement and runs
//! it with what [`bind`] makes of values, and [`transaction`] runs several. Rows come in the binary form of the protocol, which
//! [`column`] makes JSON; they are read one by one, and none that is longer than the result may be. Each connection has the same
//! settings, whatever the server has by default: what the config's statements mean depends on them.
//!
//! What takes too long, or is not wanted any more, is [stopped](cancel) by `KILL QUERY`. A connection on which something was stopped is
//! closed: one that comes late finds no other statement on it.
//!
//! The library mysql_async (0.37.1) lacks what rules of the room above need: whether something came on a
//! connection that was idle, a limit for each row before it is read, our own TLS, and what a column holds beyond its type
//! (MariaDB's JSON is a text).

#[cfg(feature = "mysql")]
mod bind;
#[cfg(feature = "mysql")]
mod cancel;
#[cfg(feature = "mysql")]
mod column;
#[cfg(feature = "mysql")]
mod conn;
#[cfg(feature = "mysql")]
mod error;
#[cfg(feature = "mysql")]
mod inspect;
#[cfg(feature = "mysql")]
mod login;
#[cfg(feature = "mysql")]
mod open;
#[cfg(feature = "mysql")]
mod packet;
#[cfg(feature = "mysql")]
mod prepared;
#[cfg(feature = "mysql")]
mod protocol;
#[cfg(feature = "mysql")]
mod query;
#[cfg(feature = "mysql")]
mod row;
#[cfg(feature = "mysql")]
mod temporal;
#[cfg(feature = "mysql")]
mod transaction;
#[cfg(feature = "mysql")]
mod url;
#[cfg(feature = "mysql")]
mod wire;

#[cfg(feature = "mysql")]
pub(super) use protocol::connect;
#[cfg(feature = "mysql")]
pub(super) use url::check as check_url;
