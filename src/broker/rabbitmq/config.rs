//! What is declared of RabbitMQ: exchanges, and queues with their ladders and dead letters.

use serde::{Deserialize, Serialize};

use crate::broker::Ladder;
use crate::value::problem::Problems;

/// `[brokers.NAME.exchanges.EXCHANGE]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExchangeConfig {
    /// `"direct"`, `"fanout"`, `"headers"` or `"topic"`.
    #[serde(default)]
    pub r#type: ExchangeType,
    /// Whether it is still there when the broker has started anew.
    #[serde(default = "yes")]
    pub durable: bool,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ExchangeType {
    Direct,
    Fanout,
    Headers,
    #[default]
    Topic,
}

/// `[brokers.NAME.queues.QUEUE]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct QueueConfig {
    /// From where messages come to it.
    #[serde(default)]
    pub bind: Vec<Binding>,
    /// `"quorum"` or `"classic"`.
    #[serde(default)]
    pub kind: QueueKind,
    /// How long a message waits after each failed attempt.
    #[serde(default)]
    pub retry: Ladder,
    /// Keep what cannot be delivered in a queue of its own.
    #[serde(default = "yes")]
    pub dead_letter: bool,
}

/// `{ exchange = "orders", key = "order.#" }`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    pub exchange: String,
    #[serde(default)]
    pub key: String,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    Classic,
    #[default]
    Quorum,
}

impl ExchangeConfig {
    /// What deserializing alone cannot see. `name` is that of the exchange.
    pub fn check(&self, _name: &str, _problems: &mut Problems) {}
}

impl QueueConfig {
    /// What deserializing alone cannot see. `name` is that of the queue.
    pub fn check(&self, _name: &str, problems: &mut Problems) {
        problems.within(&["retry"], |problems| self.retry.check(problems));
    }
}

fn yes() -> bool {
    true
}
