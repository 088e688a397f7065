//! Where messages go to and come from, in the words of each kind of broker.

use std::fmt;

use super::Kind;

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// RabbitMQ. An empty `exchange` is the one that leads to the queue named by the routing key.
    Exchange {
        exchange: String,
        routing_key: String,
    },
    /// NATS.
    Subject(String),
    /// Kafka. Messages with one key stay in order.
    Topic { topic: String, key: Option<String> },
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// RabbitMQ.
    Queue { queue: String },
    /// NATS: what `subject` matches in a stream; all of it without one. Those who name one consumer share its messages, and
    /// each consumer gets all of them.
    Stream {
        stream: String,
        subject: Option<String>,
        consumer: String,
    },
    /// Kafka: one consumer group's share of a topic.
    Topic { topic: String, group: String },
}

impl Destination {
    /// The kind of broker that has such a place.
    pub fn kind(&self) -> Kind {
        match self {
            Destination::Exchange { .. } => Kind::RabbitMq,
            Destination::Subject(_) => Kind::Nats,
            Destination::Topic { .. } => Kind::Kafka,
        }
    }
}

/// For people: where a message would go.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Exchange {
                exchange,
                routing_key,
            } => write!(f, "exchange `{exchange}`, routing key `{routing_key}`"),
            Destination::Subject(subject) => write!(f, "subject `{subject}`"),
            Destination::Topic { topic, key: None } => write!(f, "topic `{topic}`"),
            Destination::Topic {
                topic,
                key: Some(key),
            } => write!(f, "topic `{topic}`, key `{key}`"),
        }
    }
}

impl Source {
    /// The kind of broker that has such a place.
    pub fn kind(&self) -> Kind {
        match self {
            Source::Queue { .. } => Kind::RabbitMq,
            Source::Stream { .. } => Kind::Nats,
            Source::Topic { .. } => Kind::Kafka,
        }
    }

    /// The name by which its ladder and its dead letters are called.
    pub fn name(&self) -> &str {
        match self {
            Source::Queue { queue } => queue,
            Source::Stream { stream, .. } => stream,
            Source::Topic { topic, .. } => topic,
        }
    }
}
