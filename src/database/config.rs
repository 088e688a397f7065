//! The block of a database.

use std::time::Duration as Time;

use serde::{Deserialize, Serialize};

use crate::tls::outbound;
use crate::value::problem::Problems;
use crate::value::{Duration, Secret};

/// More connections than any database serves well.
const MOST_CONNECTIONS: usize = 10_000;

/// `[databases.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `postgres://user:password@host:5432/name` or `sqlite:///data/shop.db`; the scheme tells the kind.
    pub url: Secret,
    /// How TLS is spoken; by default with the CAs of the system, where the URL's `sslmode` wants TLS. Present, it is
    /// TLS that is spoken, and the server has to prove its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<outbound::Config>,
    /// The longest that connecting may take, TLS and login included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// The longest that a statement may take once it has a connection, its rows read; all statements of a transaction together.
    #[serde(default = "statement_timeout")]
    pub statement_timeout: Duration,
    /// Whether statements are prepared once for each connection.
    #[serde(default)]
    pub prepare: Prepare,
    /// When what a session keeps is forgotten, before somebody else has the connection.
    #[serde(default)]
    pub reset: Reset,
    #[serde(default)]
    pub pool: Pool,
}

/// `reset`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Reset {
    /// Behind a statement which leaves something by its own words, as `set_config` does.
    #[default]
    Auto,
    /// Behind each: a function of one's own may set something that no word of the statement tells.
    Always,
}

/// `prepare`
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Prepare {
    /// Where the connection leads to the server itself, and not to a pooler in between such as pgbouncer.
    #[default]
    Auto,
    Never,
}

/// `pool`: the connections, of all workers together.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Pool {
    /// The most connections.
    pub max_connections: usize,
    /// How long a statement may wait for a connection.
    pub max_wait: Duration,
    /// A connection that nobody needed for so long is closed.
    pub idle_timeout: Duration,
    /// A connection that is older is closed when nobody uses it.
    pub max_age: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Pool {
            max_connections: 10,
            max_wait: Duration(Time::from_secs(1)),
            idle_timeout: Duration(Time::from_secs(300)),
            max_age: Duration(Time::from_secs(1800)),
        }
    }
}

impl Config {
    /// What can be told without the URL.
    pub fn check(&self, problems: &mut Problems) {
        for (keys, time) in [
            (&["connect_timeout"][..], self.connect_timeout),
            (&["statement_timeout"], self.statement_timeout),
            (&["pool", "max_wait"], self.pool.max_wait),
            (&["pool", "idle_timeout"], self.pool.idle_timeout),
            (&["pool", "max_age"], self.pool.max_age),
        ] {
            if time.0.is_zero() {
                problems.error(keys, "this leaves no time at all");
            }
        }
        if !(1..=MOST_CONNECTIONS).contains(&self.pool.max_connections) {
            problems.error(
                &["pool", "max_connections"],
                format!("a pool has 1 to {MOST_CONNECTIONS} connections"),
            );
        }
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
        }
    }
}

fn connect_timeout() -> Duration {
    Duration(Time::from_secs(5))
}

fn statement_timeout() -> Duration {
    Duration(Time::from_secs(5))
}
