//! How a broker is now, as the admin API shows it.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::value::exposition::{Metric, labels};

const CONNECTED: Metric = Metric::gauge(
    "outrigger_broker_connected",
    "1 while there is a connection to a broker, else 0.",
);
const BLOCKED: Metric = Metric::gauge(
    "outrigger_broker_blocked",
    "1 while a broker takes no messages because of an alarm, else 0.",
);

/// What is told of brokers. It is written when it is asked for.
pub const METRICS: &[Metric] = &[CONNECTED, BLOCKED];

/// A broker as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub link: Link,
    /// Why the broker takes no messages now: an alarm.
    pub blocked: Option<String>,
    /// What the config names and the broker has otherwise or not at all, by name (`queues.orders-work`), each with why.
    pub mismatches: Vec<(String, String)>,
}

/// The connection to a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Connected {
        since: SystemTime,
    },
    /// It is tried again and again.
    Down {
        since: SystemTime,
        /// Why the last try failed; None before the first has ended.
        error: Option<String>,
    },
}

impl State {
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected { .. })
    }

    /// Whether the first try to connect is under way.
    pub fn is_new(&self) -> bool {
        matches!(self.link, Link::Down { error: None, .. })
    }

    /// As `GET /brokers` shows it.
    pub fn describe(&self, name: &str, kind: &str) -> Value {
        let text = |time| humantime::format_rfc3339_millis(time).to_string();
        let (since, error) = match &self.link {
            Link::Connected { since } => (since, None),
            Link::Down { since, error } => (since, error.as_deref()),
        };
        let mismatches = self.mismatches.iter();
        let mismatches = mismatches.map(|(what, why)| json!({ "what": what, "why": why }));
        json!({
            "name": name,
            "kind": kind,
            "connected": self.is_connected(),
            "since": text(*since),
            "error": error,
            "blocked": self.blocked,
            "mismatches": mismatches.collect::<Value>(),
        })
    }
}

/// Writes what Prometheus is told of the brokers, each with its name.
pub fn render_metrics<'a>(brokers: impl Iterator<Item = (&'a str, State)>, text: &mut String) {
    let states: Vec<_> = brokers
        .map(|(name, state)| (labels([("broker", name)]), state))
        .collect();
    if states.is_empty() {
        return;
    }
    CONNECTED.write_head(text);
    for (labels, state) in &states {
        CONNECTED.write_sample(text, labels, u8::from(state.is_connected()));
    }
    BLOCKED.write_head(text);
    for (labels, state) in &states {
        BLOCKED.write_sample(text, labels, u8::from(state.blocked.is_some()));
    }
}
