//! `[databases.*]`: where routes with `sql` have their statements run: PostgreSQL, MariaDB and MySQL, SQLite.
//!
//! Whoever runs statements sees a [`Client`]: one database, with a pool of connections that is shared by all workers. A kind
//! of database is a folder with an implementation of that trait, and its lines in [`connect()`], [`kind`] and [`config`]; one that
//! is a server has that trait from the room of all servers (`server`), and writes what is spoken with it. What is run ([`Work`]), with what ([`Value`]), how rows become JSON ([`Output`]) and why it failed ([`Failure`]) is the same
//! for all.
//!
//! Texts of callers are values that are bound, never a part of a statement. What is told to be done was committed by the
//! server's own word, and where that word did not come, [`Failure::Unknown`] says so.
//!
//! PostgreSQL is spoken to in the words of `postgres_protocol`, on which tokio-postgres rests: messages and logins are its. When they
//! are sent, and what their answers mean, is decided here, for what the rules of this room need, no client of others gives:
//! rows as text (the digits of a `numeric`, `infinity`), the transaction's status and the command's tag after each statement, a
//! connection that is read by the request that waits for it and by no task beside it, types that are declared for statements
//! without a name, a limit to each message before it is read, our own TLS, and a hand on the socket when a deadline has passed. MariaDB
//! is spoken to by a client of our own for the same reasons, which are told in its folder.

mod checked;
mod client;
mod config;
mod connect;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod down;
mod failure;
mod inspect;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod json;
mod kind;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod link;
mod mariadb;
mod output;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod pool;
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod reach;
mod scan;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod server;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod sink;
#[cfg(feature = "sqlite")]
mod sqlite;
mod state;
mod statement;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod tries;
mod types;
mod url;

pub use checked::{Checked, Opened};
pub use client::{Client, Listening, Notification, Session, Table};
pub use config::Config;
pub use connect::connect;
pub use failure::{Constraint, Effects, Failure};
pub use inspect::{Inspected, Objection};
pub use kind::Kind;
pub use output::{BigNumbers, Form, Limits, Output, Pieces};
pub use scan::{Scanned, scan};
pub use state::{METRICS, State, render_metrics};
pub use statement::{Done, Isolation, Shape, Statement, Work};
pub use types::{Scalar, Type, Value};
