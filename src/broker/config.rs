//! The block of a broker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kafka::{self, TopicConfig};
use super::nats::StreamConfig;
use super::rabbitmq::{ExchangeConfig, QueueConfig};
use super::{Kind, Ladder};
use crate::tls::outbound;
use crate::value::problem::Problems;
use crate::value::{Duration, Secret};

/// `[brokers.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `amqp://`, `amqps://`, `nats://`, `natss://`, `kafka://` or `kafkas://`: the scheme tells the kind, and whether TLS
    /// is spoken.
    pub url: Secret,
    /// How TLS is spoken; by default with the CAs of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<outbound::Config>,
    /// The longest that connecting may take, TLS and login included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// How often both sides show that they are there.
    #[serde(default = "heartbeat")]
    pub heartbeat: Duration,
    /// RabbitMQ: exchanges to declare.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exchanges: BTreeMap<String, ExchangeConfig>,
    /// RabbitMQ: queues to declare.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub queues: BTreeMap<String, QueueConfig>,
    /// NATS: streams to create.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, StreamConfig>,
    /// Kafka: topics to create.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, TopicConfig>,
}

impl Config {
    /// What can be told without the URL.
    pub fn check(&self, problems: &mut Problems) {
        for (key, time) in [
            ("connect_timeout", self.connect_timeout),
            ("heartbeat", self.heartbeat),
        ] {
            if time.0 < std::time::Duration::from_secs(1) {
                problems.error(&[key], "this is shorter than a second");
            }
        }
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
        }
        for (name, exchange) in &self.exchanges {
            problems.within(&["exchanges", name], |p| exchange.check(name, p));
        }
        let is_declared = |exchange: &str| self.exchanges.contains_key(exchange);
        for (name, queue) in &self.queues {
            problems.within(&["queues", name], |problems| {
                queue.check(name, problems);
                queue.check_exchanges(is_declared, problems);
            });
        }
        for (name, stream) in &self.streams {
            problems.within(&["streams", name], |p| stream.check(name, p));
        }
        for (name, topic) in &self.topics {
            problems.within(&["topics", name], |p| topic.check(name, p));
        }
    }

    /// Reports what belongs to another kind than `kind`.
    pub(super) fn check_kind(&self, kind: Kind, problems: &mut Problems) {
        if let (Kind::Kafka, Some(tls)) = (kind, &self.tls) {
            problems.within(&["tls"], |problems| kafka::check_tls(tls, problems));
        }
        for (key, is_there, of) in [
            ("exchanges", !self.exchanges.is_empty(), Kind::RabbitMq),
            ("queues", !self.queues.is_empty(), Kind::RabbitMq),
            ("streams", !self.streams.is_empty(), Kind::Nats),
            ("topics", !self.topics.is_empty(), Kind::Kafka),
        ] {
            if is_there && of != kind {
                problems
                    .error(
                        &[key],
                        format!(
                            "{} has `{key}`, and the URL of this broker is one of {}",
                            of.name(),
                            kind.name()
                        ),
                    )
                    .help(match kind {
                        Kind::RabbitMq => "write `exchanges` and `queues`",
                        Kind::Nats => "write `streams`",
                        Kind::Kafka => "write `topics`",
                    });
            }
        }
    }

    /// Whether dead letters of the queue, stream or topic `name` are kept, if the config names that.
    pub fn keeps_dead_letters(&self, name: &str) -> Option<bool> {
        let queue = self.queues.get(name).map(|queue| queue.dead_letter);
        let stream = self.streams.get(name).map(|stream| stream.dead_letter);
        let topic = self.topics.get(name).map(|topic| topic.dead_letter);
        queue.or(stream).or(topic)
    }

    /// The ladder of the queue, stream or topic `name`, if the config names that.
    pub fn ladder(&self, name: &str) -> Option<&Ladder> {
        let queue = self.queues.get(name).map(|queue| &queue.retry);
        let stream = self.streams.get(name).map(|stream| &stream.retry);
        let topic = self.topics.get(name).map(|topic| &topic.retry);
        queue.or(stream).or(topic)
    }
}

fn connect_timeout() -> Duration {
    Duration(std::time::Duration::from_secs(5))
}

fn heartbeat() -> Duration {
    Duration(std::time::Duration::from_secs(30))
}
