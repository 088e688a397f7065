//! Where messages go: the keys of each kind of broker, and what a request makes of them.

use super::Config;
use crate::broker::{Destination, Kind, Refusal};
use crate::http::message::Request;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;

/// Where messages go, before a request fills it in.
pub(super) enum Address {
    Exchange {
        exchange: HeaderTemplate,
        routing_key: HeaderTemplate,
    },
    Subject(HeaderTemplate),
    Topic {
        topic: HeaderTemplate,
        key: Option<HeaderTemplate>,
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

fn keys(config: &Config) -> [(&'static str, Option<&HeaderTemplate>, Kind); 5] {
    [
        ("exchange", config.exchange.as_ref(), Kind::RabbitMq),
        ("routing_key", config.routing_key.as_ref(), Kind::RabbitMq),
        ("subject", config.subject.as_ref(), Kind::Nats),
        ("topic", config.topic.as_ref(), Kind::Kafka),
        ("key", config.key.as_ref(), Kind::Kafka),
    ]
}

/// What can be told without the broker.
pub(super) fn check(config: &Config, known: &[&str], problems: &mut Problems) {
    let set = keys(config)
        .into_iter()
        .filter_map(|(key, value, kind)| Some((key, value?, kind)));
    let set: Vec<_> = set.collect();
    for (key, value, _) in &set {
        value.check(&[key], problems);
        captures::check(known, &[key], value.captures(), value.as_str(), problems);
    }
    let Some((first, _, kind)) = set.first() else {
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
    if let Some((other, _, of)) = set.iter().find(|(_, _, other)| other != kind) {
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
    } else if *kind == Kind::Kafka && config.topic.is_none() {
        problems.error(&[], "`key` needs a `topic`");
    }
}

/// Reports keys of another kind than that of the broker.
pub(super) fn check_kind(config: &Config, kind: Kind, problems: &mut Problems) {
    let other =
        |(key, value, of): (_, Option<_>, _)| (value.is_some() && of != kind).then_some((key, of));
    if let Some((key, of)) = keys(config).into_iter().find_map(other) {
        problems
            .error(
                &[key],
                format!(
                    "`{key}` is of {}, and the broker `{}` is {}",
                    of.name(),
                    config.broker,
                    kind.name()
                ),
            )
            .help(format!("write {}", words(kind)));
    }
}

impl Address {
    /// None where the keys of no kind are set, which a check reports.
    pub fn of(config: &Config) -> Option<Self> {
        if let Some(subject) = &config.subject {
            return Some(Address::Subject(subject.clone()));
        }
        if let Some(topic) = &config.topic {
            return Some(Address::Topic {
                topic: topic.clone(),
                key: config.key.clone(),
            });
        }
        if config.exchange.is_none() && config.routing_key.is_none() {
            return None;
        }
        let or_empty = |template: &Option<HeaderTemplate>| match template {
            Some(template) => Some(template.clone()),
            None => HeaderTemplate::try_from(String::new()).ok(),
        };
        Some(Address::Exchange {
            exchange: or_empty(&config.exchange)?,
            routing_key: or_empty(&config.routing_key)?,
        })
    }

    /// Where the message of `request` goes.
    pub fn render(&self, request: &Request) -> Result<Destination, Refusal> {
        Ok(match self {
            Address::Exchange {
                exchange,
                routing_key,
            } => Destination::Exchange {
                exchange: text(exchange, "exchange", request)?,
                routing_key: text(routing_key, "routing_key", request)?,
            },
            Address::Subject(subject) => Destination::Subject(text(subject, "subject", request)?),
            Address::Topic { topic, key } => Destination::Topic {
                topic: text(topic, "topic", request)?,
                key: match key {
                    Some(key) => Some(text(key, "key", request)?).filter(|key| !key.is_empty()),
                    None => None,
                },
            },
        })
    }
}

fn text(template: &HeaderTemplate, key: &str, request: &Request) -> Result<String, Refusal> {
    let value = template.render(request);
    let text = std::str::from_utf8(value.as_bytes());
    let text = text.map_err(|_| Refusal::Unfit(format!("`{key}` is not text in UTF-8")))?;
    Ok(text.to_owned())
}
