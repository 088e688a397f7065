//! How a database is now, as the admin API shows it.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::value::exposition::{Metric, labels};

const CONNECTIONS: Metric = Metric::gauge(
    "outrigger_database_connections",
    "Connections to a database, by whether a statement uses them.",
);
const WAITING: Metric = Metric::gauge(
    "outrigger_database_waiting",
    "Requests that wait for a connection to a database.",
);
const UP: Metric = Metric::gauge(
    "outrigger_database_up",
    "1 when the last try to connect to a database succeeded, else 0.",
);

/// What is told of databases. It is written when it is asked for.
pub const METRICS: &[Metric] = &[CONNECTIONS, WAITING, UP];

/// A database as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether the last try to connect succeeded; None before the first one has ended.
    pub connected: Option<bool>,
    /// When a try failed last, and why: for operators, not for callers.
    pub last_error: Option<(SystemTime, String)>,
    /// The version that the server told.
    pub version: Option<String>,
    /// Something stands between this proxy and the server, as pgbouncer does.
    pub is_pooled: bool,
    pub in_use: usize,
    pub idle: usize,
    pub waiting: usize,
    pub max_connections: usize,
}

impl State {
    /// As `GET /databases` shows it.
    pub fn describe(&self, name: &str, kind: &str) -> Value {
        let last_error = self.last_error.as_ref().map(|(at, why)| {
            json!({ "at": humantime::format_rfc3339_millis(*at).to_string(), "error": why })
        });
        json!({
            "name": name,
            "kind": kind,
            "connected": self.connected,
            "last_error": last_error,
            "version": self.version,
            "behind_a_pooler": self.is_pooled,
            "pool": {
                "in_use": self.in_use,
                "idle": self.idle,
                "waiting": self.waiting,
                "max_connections": self.max_connections,
            },
        })
    }
}

/// Writes what Prometheus is told of the databases, each with its name.
pub fn render_metrics<'a>(databases: impl Iterator<Item = (&'a str, State)>, text: &mut String) {
    let states: Vec<_> = databases.collect();
    if states.is_empty() {
        return;
    }
    CONNECTIONS.write_head(text);
    for &(name, ref state) in &states {
        for (what, count) in [("in_use", state.in_use), ("idle", state.idle)] {
            CONNECTIONS.write_sample(text, &labels([("database", name), ("state", what)]), count);
        }
    }
    WAITING.write_head(text);
    for &(name, ref state) in &states {
        WAITING.write_sample(text, &labels([("database", name)]), state.waiting);
    }
    UP.write_head(text);
    for &(name, ref state) in &states {
        let up = u8::from(state.connected == Some(true));
        UP.write_sample(text, &labels([("database", name)]), up);
    }
}
