//! SQLite: a file of the application's own, by the library that is built in.
//!
//! Each connection has a thread of its own ([`thread`]), as the library blocks: workers wait for its word, and never for a disk.
//! The threads are there as long as their connections are in the pool. What is run on one is [under a ticket](ticket): its
//! deadline, and whether anybody still wants it. Statements that change something go one by one, in `BEGIN IMMEDIATE`
//! ([`transaction`]): a transaction that begins to read and then writes is refused at once when another one was faster, however long
//! it would wait.
//!
//! Beside the file, a lock says who has what is none of SQLite's business ([`hold`]), and that somebody has written to it is seen from
//! outside ([`changes`]).
//!
//! The file belongs to the application, and so do its journal mode and its schema. One that was replaced is opened anew ([`file`]).

mod bind;
mod changes;
mod client;
mod error;
mod file;
mod hold;
mod inspect;
mod moment;
mod query;
mod row;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod thread;
mod ticket;
mod transaction;
mod url;

pub(super) use client::connect;
pub(super) use url::check as check_url;
