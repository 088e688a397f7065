//! Where messages go: the keys of each kind of broker as a block has them, before a message fills them in.

use super::{Destination, Kind, Refusal};
use crate::value::problem::Problems;

/// The keys of a block that say where its messages go, of all kinds of brokers. `T` is the text of a value.
#[derive(Clone, Copy, Debug)]
pub struct AddressKeys<'a, T> {
    /// RabbitMQ.
    pub exchange: Option<&'a T>,
    /// RabbitMQ.
    pub routing_key: Option<&'a T>,
    /// NATS.
    pub subject: Option<&'a T>,
    /// Kafka.
    pub topic: Option<&'a T>,
    /// Kafka.
    pub key: Option<&'a T>,
}

/// Where messages go, in the words of one kind of broker.
#[derive(Clone, Debug)]
pub enum Address<T> {
    Exchange {
        exchange: Option<T>,
        routing_key: Option<T>,
    },
    Subject(T),
    Topic {
        topic: T,
        key: Option<T>,
    },
}

/// The keys of a kind of broker.
fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::RabbitMq => "`exchange` and `routing_key`",
        Kind::Nats => "`subject`",
        Kind::Kafka => "`topic`, and perhaps `key`",
    }
}

impl<'a, T> AddressKeys<'a, T> {
    /// Those that are set, each with its value.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, &'a T)> + use<'a, T> {
        self.of_kinds().map(|(key, value, _)| (key, value))
    }

    fn of_kinds(&self) -> impl Iterator<Item = (&'static str, &'a T, Kind)> + use<'a, T> {
        [
            ("exchange", self.exchange, Kind::RabbitMq),
            ("routing_key", self.routing_key, Kind::RabbitMq),
            ("subject", self.subject, Kind::Nats),
            ("topic", self.topic, Kind::Kafka),
            ("key", self.key, Kind::Kafka),
        ]
        .into_iter()
        .filter_map(|(key, value, kind)| Some((key, value?, kind)))
    }

    /// Reports what can be told without the broker: keys that are missing, and those of two kinds.
    pub fn check(&self, problems: &mut Problems) {
        let Some((first, _, kind)) = self.of_kinds().next() else {
            problems
                .error(&[], "this does not say where its messages go")
                .help(format!(
                    "set {} for RabbitMQ, {} for NATS, {} for Kafka",
                    words(Kind::RabbitMq),
                    words(Kind::Nats),
                    words(Kind::Kafka)
                ));
            return;
        };
        if let Some((other, _, of)) = self.of_kinds().find(|(_, _, other)| *other != kind) {
            problems
                .error(
                    &[other],
                    format!(
                        "`{first}` is of {}, and `{other}` of {}",
                        kind.name(),
                        of.name()
                    ),
                )
                .help("keep the keys of one kind of broker");
        } else if kind == Kind::Kafka && self.topic.is_none() {
            problems.error(&[], "`key` needs a `topic`");
        }
    }

    /// Reports keys of another kind than `kind`, that of the broker of this name.
    pub fn check_kind(&self, kind: Kind, broker: &str, problems: &mut Problems) {
        if let Some((key, _, of)) = self.of_kinds().find(|(_, _, of)| *of != kind) {
            problems
                .error(
                    &[key],
                    format!(
                        "`{key}` is of {}, and the broker `{broker}` is {}",
                        of.name(),
                        kind.name()
                    ),
                )
                .help(format!("write {}", words(kind)));
        }
    }
}

impl<T: Clone> AddressKeys<'_, T> {
    /// None where the keys of no kind are set, which a check reports.
    pub fn address(&self) -> Option<Address<T>> {
        if let Some(subject) = self.subject {
            return Some(Address::Subject(subject.clone()));
        }
        if let Some(topic) = self.topic {
            return Some(Address::Topic {
                topic: topic.clone(),
                key: self.key.cloned(),
            });
        }
        (self.exchange.is_some() || self.routing_key.is_some()).then(|| Address::Exchange {
            exchange: self.exchange.cloned(),
            routing_key: self.routing_key.cloned(),
        })
    }
}

impl<T> Address<T> {
    /// Where a message goes: `fill` says what becomes of the value of a key.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill(
        &self,
        fill: impl Fn(&T, &'static str) -> Result<String, Refusal>,
    ) -> Result<Destination, Refusal> {
        let perhaps = |value: &Option<T>, key| match value {
            Some(value) => fill(value, key),
            None => Ok(String::new()),
        };
        Ok(match self {
            Address::Exchange {
                exchange,
                routing_key,
            } => Destination::Exchange {
                exchange: perhaps(exchange, "exchange")?,
                routing_key: perhaps(routing_key, "routing_key")?,
            },
            Address::Subject(subject) => Destination::Subject(fill(subject, "subject")?),
            Address::Topic { topic, key } => Destination::Topic {
                topic: fill(topic, "topic")?,
                key: Some(perhaps(key, "key")?).filter(|key| !key.is_empty()),
            },
        })
    }
}
