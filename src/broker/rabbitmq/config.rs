//! What is declared of RabbitMQ: exchanges, and queues with their ladders and dead letters.

use std::collections::BTreeMap;

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
    /// The most messages that it holds. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// What happens to a message that comes to a full queue: `"reject-publish"`, and whoever publishes is told, or
    /// `"drop-head"`, and the oldest message is lost or dead-lettered.
    #[serde(default)]
    pub overflow: Overflow,
    /// More arguments (`x-...`), for a queue that others declare with them as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, Argument>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    DropHead,
    #[default]
    RejectPublish,
}

/// The value of an argument.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(untagged)]
pub enum Argument {
    Boolean(bool),
    Integer(i64),
    Text(String),
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

/// The most bytes of a name in AMQP.
const LONGEST_NAME: usize = u8::MAX as usize;
/// What the names of the queues around a queue have behind its own: `.retry.16`.
const LONGEST_SUFFIX: usize = 9;
/// The longest that RabbitMQ lets a message wait, in milliseconds.
const LONGEST_WAIT: u128 = u32::MAX as u128;
/// What the broker keeps names for that begin so.
const RESERVED: &str = "amq.";

/// The arguments that have a key here.
const OWN_ARGUMENTS: [(&str, &str); 6] = [
    ("x-dead-letter-exchange", "dead_letter"),
    ("x-dead-letter-routing-key", "dead_letter"),
    ("x-dead-letter-strategy", "dead_letter"),
    ("x-max-length", "max_length"),
    ("x-overflow", "overflow"),
    ("x-queue-type", "kind"),
];

impl ExchangeConfig {
    /// What deserializing alone cannot see. `name` is that of the exchange.
    pub fn check(&self, name: &str, problems: &mut Problems) {
        if let Some(wrong) = wrong_name(name, LONGEST_NAME) {
            problems.error(&[], wrong).help(if name.is_empty() {
                "the exchange without a name is always there"
            } else if name.starts_with(RESERVED) {
                "exchanges like `amq.topic` are always there: bind to them without declaring them"
            } else {
                "choose a shorter name"
            });
        }
    }
}

impl QueueConfig {
    /// What deserializing alone cannot see. `name` is that of the queue.
    pub fn check(&self, name: &str, problems: &mut Problems) {
        if let Some(wrong) = wrong_name(name, LONGEST_NAME - LONGEST_SUFFIX) {
            problems.error(&[], wrong).help("choose another name");
        }
        problems.within(&["retry"], |problems| self.retry.check(problems));
        for (place, delay) in self.retry.delays.iter().enumerate() {
            if delay.0.as_millis() > LONGEST_WAIT {
                problems
                    .error(
                        &["retry", "delays", &place.to_string()],
                        format!("`{delay}` is longer than RabbitMQ lets a message wait"),
                    )
                    .help("the longest is some 49 days");
            }
        }
        for (place, binding) in self.bind.iter().enumerate() {
            let place = place.to_string();
            problems.within(&["bind", &place], |problems| binding.check(problems));
        }
        if self.max_length == Some(0) {
            problems
                .error(&["max_length"], "a queue of no length takes no message")
                .help("leave it out for a queue without a limit");
        }
        if self.overflow == Overflow::DropHead && self.max_length.is_none() {
            problems
                .error(&["overflow"], "a queue without a limit is never full")
                .help("set `max_length`, or leave this out");
        }
        self.check_arguments(problems);
    }

    /// Doubts about what it is bound to.
    pub fn check_exchanges(&self, is_declared: impl Fn(&str) -> bool, problems: &mut Problems) {
        for (place, binding) in self.bind.iter().enumerate() {
            let exchange = binding.exchange.as_str();
            if exchange.is_empty() || exchange.starts_with(RESERVED) || is_declared(exchange) {
                continue;
            }
            problems
                .warning(
                    &["bind", &place.to_string(), "exchange"],
                    format!("the exchange `{exchange}` is not declared here: until it is there, nothing is bound to it"),
                )
                .help("add a table for it among the broker's `exchanges`, unless somebody else declares it");
        }
    }

    fn check_arguments(&self, problems: &mut Problems) {
        for name in self.arguments.keys() {
            let own = OWN_ARGUMENTS.iter().find(|(own, _)| own == name);
            if let Some((_, key)) = own {
                problems
                    .error(
                        &["arguments", name],
                        format!("`{name}` is what `{key}` is for"),
                    )
                    .help(format!("write `{key}`"));
            } else if !name.starts_with("x-") || name.len() > LONGEST_NAME {
                problems
                    .error(
                        &["arguments", name],
                        format!("`{name}` is no argument of a queue"),
                    )
                    .help("arguments begin with `x-`");
            }
        }
    }
}

impl Binding {
    fn check(&self, problems: &mut Problems) {
        if self.exchange.is_empty() {
            problems
                .error(
                    &["exchange"],
                    "nothing is bound to the exchange without a name",
                )
                .help("it leads to every queue by its name: publish with the name as routing key");
        } else if self.exchange.len() > LONGEST_NAME {
            problems.error(&["exchange"], too_long(&self.exchange, LONGEST_NAME));
        }
        if self.key.len() > LONGEST_NAME {
            problems.error(&["key"], too_long(&self.key, LONGEST_NAME));
        }
    }
}

fn wrong_name(name: &str, longest: usize) -> Option<String> {
    if name.is_empty() {
        Some("it has no name".to_owned())
    } else if name.starts_with(RESERVED) {
        Some(format!(
            "names that begin with `{RESERVED}` belong to the broker"
        ))
    } else if name.len() > longest {
        Some(too_long(name, longest))
    } else {
        None
    }
}

fn too_long(name: &str, longest: usize) -> String {
    format!("{} bytes are more than {longest}", name.len())
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(check: impl FnOnce(&mut Problems)) -> Vec<String> {
        let mut problems = Problems::default();
        check(&mut problems);
        let problems = problems.into_vec().into_iter();
        problems.map(|problem| problem.message.clone()).collect()
    }

    #[test]
    fn a_queue_is_told_all_that_is_wrong_with_it() {
        let queue: QueueConfig = toml::from_str(
            "bind = [{ exchange = \"\", key = \"a\" }]\nmax_length = 0\n\
             retry = { delays = [\"60days\"] }\narguments = { x-overflow = \"a\", y = 1 }",
        )
        .unwrap();
        let long = "x".repeat(250);
        let found = messages(|problems| queue.check(&long, problems));
        assert_eq!(
            found,
            [
                "250 bytes are more than 246",
                "`1month 29days 13h 26m 24s` is longer than RabbitMQ lets a message wait",
                "nothing is bound to the exchange without a name",
                "a queue of no length takes no message",
                "`x-overflow` is what `overflow` is for",
                "`y` is no argument of a queue",
            ]
        );
        let queue: QueueConfig = toml::from_str("overflow = \"drop-head\"").unwrap();
        let found = messages(|problems| queue.check("amq.q", problems));
        assert_eq!(
            found,
            [
                "names that begin with `amq.` belong to the broker",
                "a queue without a limit is never full"
            ]
        );
    }

    #[test]
    fn an_exchange_of_the_broker_is_not_declared() {
        let exchange: ExchangeConfig = toml::from_str("").unwrap();
        for (name, wrong) in [("", 1), ("amq.topic", 1), ("orders", 0)] {
            assert_eq!(
                messages(|problems| exchange.check(name, problems)).len(),
                wrong
            );
        }
    }
}
