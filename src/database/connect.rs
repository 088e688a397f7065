//! From a checked block to a client.

use std::sync::Arc;

use tokio::runtime::Handle;

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
use super::Kind;
#[cfg(feature = "mysql")]
use super::mariadb;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;
use super::{Checked, Client};

/// A client, which connects when something is to be run. What has to be ended behind its callers' backs is ended on `runtime`.
/// `name` is the database's in the config. None for a kind that this program was built without, which no config has that was
/// checked.
#[cfg_attr(
    not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
    expect(
        unused_variables,
        reason = "no kind is built in that would look at them"
    )
)]
pub fn connect(name: &str, config: &Checked, runtime: &Handle) -> Option<Arc<dyn Client>> {
    match config.kind() {
        #[cfg(feature = "postgres")]
        Kind::Postgres => postgres::connect(name, config, runtime),
        #[cfg(feature = "mysql")]
        Kind::MySql => mariadb::connect(name, config, runtime),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => sqlite::connect(name, config, runtime),
        #[cfg(not(all(feature = "mysql", feature = "postgres", feature = "sqlite")))]
        _ => None,
    }
}
