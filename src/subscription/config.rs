//! The block of a subscription.

use std::time::Duration;

use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

use crate::broker::{Kind, Source};
use crate::value::problem::Problems;
use crate::value::{self, Name, Wrong};

/// The most messages that may be taken and not settled: more is memory, and no speed.
const MOST_AT_ONCE: u16 = 1000;

/// RabbitMQ ends a channel on which a message is not acknowledged for 30 min (`consumer_timeout`). A message that nobody
/// takes is kept for up to 10 min before its last delivery begins.
const LONGEST_OF_RABBITMQ: Duration = Duration::from_secs(20 * 60);

/// `[subscriptions.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the broker.
    pub broker: Name,
    /// RabbitMQ: the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// NATS: the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// NATS: what of the stream; all of it by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// NATS: the durable consumer, which is the subscription's name by default. Subscriptions with one name share its
    /// messages, wherever they run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// Kafka: the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Kafka: the consumer group, which is the subscription's name by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The route that the messages enter.
    pub route: Name,
    /// The path of the requests.
    #[serde(default = "root")]
    pub path: String,
    /// Messages at once.
    #[serde(default = "prefetch")]
    pub prefetch: u16,
    /// How long a delivery may take.
    #[serde(default = "timeout")]
    pub timeout: value::Duration,
    /// One at a time of those that are alike by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_by: Option<OrderedBy>,
    /// How the application says what became of a message.
    #[serde(default)]
    pub answer: AnswerKind,
}

/// By what messages are alike that are delivered one after the other: `"key"` or `"header:NAME"`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub enum OrderedBy {
    /// The routing key, the subject, or Kafka's key.
    Key,
    /// A header of the message.
    Header(String),
}

/// How the application says what became of a message.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum AnswerKind {
    /// By the status of its answer.
    #[default]
    Status,
    /// As applications of Dapr do: a 2xx may have `{ "status": "SUCCESS" }`, `"RETRY"` or `"DROP"` in it.
    Dapr,
}

impl Config {
    /// What can be told without the broker.
    pub fn check(&self, problems: &mut Problems) {
        let set: Vec<(&str, Kind)> = self.keys().collect();
        match set.first() {
            None => {
                problems
                    .error(&[], "this does not say where its messages come from")
                    .help("set `queue` for RabbitMQ, `stream` for NATS, `topic` for Kafka");
            }
            Some((first, kind)) => {
                if let Some((other, of)) = set.iter().find(|(_, other)| other != kind) {
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
                } else if self.source("").is_none() {
                    problems.error(
                        &[],
                        match kind {
                            Kind::Nats => "`subject` and `consumer` need a `stream`",
                            _ => "`group` needs a `topic`",
                        },
                    );
                }
            }
        }
        if !self.path.starts_with('/') || self.path.parse::<PathAndQuery>().is_err() {
            problems
                .error(&["path"], format!("`{}` is no path", self.path))
                .help("write it like \"/events/orders\"");
        }
        if !(1..=MOST_AT_ONCE).contains(&self.prefetch) {
            problems.error(
                &["prefetch"],
                format!("{} is not from 1 to {MOST_AT_ONCE}", self.prefetch),
            );
        }
        if self.timeout.0.is_zero() {
            problems.error(&["timeout"], "no application answers in no time");
        }
    }

    /// Reports keys of another kind than that of the broker, and what that kind does not go along with.
    pub fn check_kind(&self, kind: Kind, problems: &mut Problems) {
        if kind == Kind::RabbitMq && self.timeout.0 > LONGEST_OF_RABBITMQ {
            problems
                .warning(
                    &["timeout"],
                    "RabbitMQ gives a message to somebody else that is not acknowledged within 30 min",
                )
                .help("set at most \"20m\": a message may be kept for 10 min before it is delivered");
        }
        if let Some((key, of)) = self.keys().find(|(_, of)| *of != kind) {
            problems
                .error(
                    &[key],
                    format!(
                        "`{key}` is of {}, and the broker `{}` is {}",
                        of.name(),
                        self.broker,
                        kind.name()
                    ),
                )
                .help(match kind {
                    Kind::RabbitMq => "write `queue`",
                    Kind::Nats => "write `stream`, and perhaps `subject` and `consumer`",
                    Kind::Kafka => "write `topic`, and perhaps `group`",
                });
        }
    }

    /// Where the messages come from. `name` is the subscription's. None where that is not said.
    pub fn source(&self, name: &str) -> Option<Source> {
        if let Some(queue) = &self.queue {
            let queue = queue.clone();
            return Some(Source::Queue { queue });
        }
        if let Some(stream) = &self.stream {
            return Some(Source::Stream {
                stream: stream.clone(),
                subject: self.subject.clone(),
                consumer: self.consumer.clone().unwrap_or_else(|| name.to_owned()),
            });
        }
        Some(Source::Topic {
            topic: self.topic.clone()?,
            group: self.group.clone().unwrap_or_else(|| name.to_owned()),
        })
    }

    /// The keys that are set and belong to one kind of broker.
    fn keys(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        [
            ("queue", &self.queue, Kind::RabbitMq),
            ("stream", &self.stream, Kind::Nats),
            ("subject", &self.subject, Kind::Nats),
            ("consumer", &self.consumer, Kind::Nats),
            ("topic", &self.topic, Kind::Kafka),
            ("group", &self.group, Kind::Kafka),
        ]
        .into_iter()
        .filter_map(|(key, value, kind)| value.as_ref().map(|_| (key, kind)))
    }
}

impl TryFrom<String> for OrderedBy {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        match text.split_once(':') {
            None if text == "key" => Ok(OrderedBy::Key),
            Some(("header", name)) => {
                let name = value::read_header_name(name)?;
                Ok(OrderedBy::Header(name.as_str().to_owned()))
            }
            _ => Err(Wrong::new(format!("`{text}` tells no messages apart"))
                .help("write \"key\" or \"header:NAME\"")),
        }
    }
}

impl From<OrderedBy> for String {
    fn from(by: OrderedBy) -> String {
        match by {
            OrderedBy::Key => "key".to_owned(),
            OrderedBy::Header(name) => format!("header:{name}"),
        }
    }
}

fn root() -> String {
    "/".to_owned()
}

fn prefetch() -> u16 {
    16
}

fn timeout() -> value::Duration {
    value::Duration(Duration::from_secs(30))
}
