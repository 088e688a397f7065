//! What the config names, as the broker is asked to make it.

use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{Channel, Connection, ExchangeKind};

use super::config::{Argument, ExchangeType, Overflow, QueueConfig, QueueKind};
use super::failure::answer;
use super::names::{letters, letters_exchange, short, step};
use crate::broker::Config;

/// One thing that is asked of the broker.
struct Wish {
    /// What of the config it is for: `queues.orders-work`.
    of: String,
    thing: Thing,
}

enum Thing {
    Exchange {
        name: String,
        kind: ExchangeKind,
        durable: bool,
    },
    Queue {
        name: String,
        arguments: FieldTable,
    },
    Binding {
        queue: String,
        exchange: String,
        key: String,
    },
}

/// Declares everything, each on a channel that may break, and gives what the broker has otherwise or did not make, with why.
pub(super) async fn all(connection: &Connection, config: &Config) -> Vec<(String, String)> {
    let mut mismatches = Vec::new();
    let mut channel = None;
    for wish in wishes(config) {
        if let Err(why) = fulfil(connection, &mut channel, &wish.thing).await {
            channel = None;
            mismatches.push((
                wish.of,
                format!("{}: {}", wish.thing.shown(), without_vhost(&why)),
            ));
        }
    }
    mismatches
}

async fn fulfil(
    connection: &Connection,
    channel: &mut Option<Channel>,
    thing: &Thing,
) -> Result<(), String> {
    let open = match channel.take() {
        Some(open) if open.status().connected() => open,
        _ => answer(connection.create_channel()).await?,
    };
    thing.declare(&open).await?;
    *channel = Some(open);
    Ok(())
}

impl Thing {
    fn shown(&self) -> String {
        match self {
            Thing::Exchange { name, .. } => format!("the exchange `{name}`"),
            Thing::Queue { name, .. } => format!("the queue `{name}`"),
            Thing::Binding {
                queue, exchange, ..
            } => format!("the binding of `{queue}` to `{exchange}`"),
        }
    }

    async fn declare(&self, channel: &Channel) -> Result<(), String> {
        match self {
            Thing::Exchange {
                name,
                kind,
                durable,
            } => {
                let options = ExchangeDeclareOptions {
                    durable: *durable,
                    ..ExchangeDeclareOptions::default()
                };
                let none = FieldTable::default();
                answer(channel.exchange_declare(short(name)?, kind.clone(), options, none)).await
            }
            Thing::Queue { name, arguments } => {
                let options = QueueDeclareOptions::durable();
                let asked = channel.queue_declare(short(name)?, options, arguments.clone());
                answer(asked).await.map(drop)
            }
            Thing::Binding {
                queue,
                exchange,
                key,
            } => {
                let (queue, exchange, key) = (short(queue)?, short(exchange)?, short(key)?);
                let (options, none) = (QueueBindOptions::default(), FieldTable::default());
                answer(channel.queue_bind(queue, exchange, key, options, none)).await
            }
        }
    }
}

/// All that the config wants, in an order in which each finds what it needs.
fn wishes(config: &Config) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for (name, exchange) in &config.exchanges {
        wishes.push(Wish {
            of: format!("exchanges.{name}"),
            thing: Thing::Exchange {
                name: name.clone(),
                kind: match exchange.r#type {
                    ExchangeType::Direct => ExchangeKind::Direct,
                    ExchangeType::Fanout => ExchangeKind::Fanout,
                    ExchangeType::Headers => ExchangeKind::Headers,
                    ExchangeType::Topic => ExchangeKind::Topic,
                },
                durable: exchange.durable,
            },
        });
    }
    for (name, queue) in &config.queues {
        for thing in around(name, queue) {
            let of = format!("queues.{name}");
            wishes.push(Wish { of, thing });
        }
    }
    wishes
}

/// A queue, and what stands around it.
fn around(name: &str, config: &QueueConfig) -> Vec<Thing> {
    let mut things = Vec::new();
    if config.dead_letter {
        things.push(Thing::Exchange {
            name: letters_exchange(name),
            kind: ExchangeKind::Fanout,
            durable: true,
        });
        // Without a limit: what a full queue refuses, an exchange of dead letters loses.
        things.push(Thing::Queue {
            name: letters(name),
            arguments: Arguments::of(config.kind).0,
        });
        things.push(Thing::Binding {
            queue: letters(name),
            exchange: letters_exchange(name),
            key: String::new(),
        });
    }
    things.push(Thing::Queue {
        name: name.to_owned(),
        arguments: work(name, config),
    });
    for binding in &config.bind {
        things.push(Thing::Binding {
            queue: name.to_owned(),
            exchange: binding.exchange.clone(),
            key: binding.key.clone(),
        });
    }
    for (place, delay) in config.retry.delays.iter().enumerate() {
        let arguments = Arguments::of(config.kind)
            .with("x-message-ttl", milliseconds(delay.0))
            .dead_lettering(config.kind, "")
            .with("x-dead-letter-routing-key", text(name));
        things.push(Thing::Queue {
            name: step(name, place),
            arguments: arguments.0,
        });
    }
    things
}

/// The arguments of the queue itself. What leaves it without us, as by a limit on deliveries that the broker has, is kept.
fn work(name: &str, config: &QueueConfig) -> FieldTable {
    let mut arguments = Arguments::of(config.kind);
    if config.dead_letter {
        arguments = match config.overflow {
            Overflow::RejectPublish => {
                arguments.dead_lettering(config.kind, &letters_exchange(name))
            }
            Overflow::DropHead => {
                arguments.with("x-dead-letter-exchange", text(&letters_exchange(name)))
            }
        };
    }
    if let Some(most) = config.max_length {
        arguments = arguments
            .with("x-max-length", AMQPValue::LongLongInt(i64::from(most)))
            .with("x-overflow", text(overflow(config.overflow)));
    }
    for (key, value) in &config.arguments {
        let value = match value {
            Argument::Boolean(value) => AMQPValue::Boolean(*value),
            Argument::Integer(value) => AMQPValue::LongLongInt(*value),
            Argument::Text(value) => text(value),
        };
        arguments = arguments.with(key, value);
    }
    arguments.0
}

struct Arguments(FieldTable);

impl Arguments {
    fn of(kind: QueueKind) -> Self {
        let kind = match kind {
            QueueKind::Classic => "classic",
            QueueKind::Quorum => "quorum",
        };
        Arguments(FieldTable::default()).with("x-queue-type", text(kind))
    }

    /// A key that is no name in AMQP is left out; the check of the config tells it.
    fn with(mut self, key: &str, value: AMQPValue) -> Self {
        if let Ok(key) = short(key) {
            self.0.insert(key, value);
        }
        self
    }

    /// What leaves a quorum queue goes on to `exchange` before it is gone from here; the broker wants the queue to refuse
    /// what it has no room for, then. A classic queue knows no such care.
    fn dead_lettering(self, kind: QueueKind, exchange: &str) -> Self {
        let arguments = self.with("x-dead-letter-exchange", text(exchange));
        match kind {
            QueueKind::Classic => arguments,
            QueueKind::Quorum => arguments
                .with("x-dead-letter-strategy", text("at-least-once"))
                .with("x-overflow", text(overflow(Overflow::RejectPublish))),
        }
    }
}

fn overflow(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::DropHead => "drop-head",
        Overflow::RejectPublish => "reject-publish",
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

fn milliseconds(time: Duration) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// The virtual host is part of a secret.
fn without_vhost(why: &str) -> String {
    const BEGINS: &str = " in vhost '";
    let Some((before, rest)) = why.split_once(BEGINS) else {
        return why.to_owned();
    };
    let after = rest.split_once('\'').map_or("", |(_, after)| after);
    format!("{before}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(toml: &str) -> Vec<String> {
        let config: QueueConfig = toml::from_str(toml).unwrap();
        let things = around("work", &config);
        let shown = things.iter().map(|thing| match thing {
            Thing::Queue { name, arguments } => {
                let arguments = arguments.into_iter().map(|(key, value)| match value {
                    AMQPValue::LongString(text) => format!("{key}={text}"),
                    AMQPValue::LongLongInt(number) => format!("{key}={number}"),
                    other => format!("{key}={other:?}"),
                });
                format!("{name} {}", arguments.collect::<Vec<_>>().join(" "))
            }
            other => other.shown(),
        });
        shown.collect()
    }

    #[test]
    fn a_queue_stands_among_its_ladder_and_its_dead_letters() {
        let quorum = shown("retry = { delays = [\"5s\", \"1m\"] }\nbind = [{ exchange = \"e\" }]");
        let ladder = "x-dead-letter-exchange= x-dead-letter-routing-key=work \
                      x-dead-letter-strategy=at-least-once";
        assert_eq!(
            quorum,
            [
                "the exchange `work.dlx`".to_owned(),
                "work.dlq x-queue-type=quorum".to_owned(),
                "the binding of `work.dlq` to `work.dlx`".to_owned(),
                "work x-dead-letter-exchange=work.dlx x-dead-letter-strategy=at-least-once \
                 x-overflow=reject-publish x-queue-type=quorum"
                    .to_owned(),
                "the binding of `work` to `e`".to_owned(),
                format!(
                    "work.retry.1 {ladder} x-message-ttl=5000 x-overflow=reject-publish x-queue-type=quorum"
                ),
                format!(
                    "work.retry.2 {ladder} x-message-ttl=60000 x-overflow=reject-publish x-queue-type=quorum"
                ),
            ]
        );
        let plain = shown(
            "kind = \"classic\"\ndead_letter = false\nmax_length = 10\noverflow = \"drop-head\"\n\
             arguments = { x-max-priority = 3, x-queue-mode = \"lazy\", x-single-active-consumer = true }",
        );
        assert_eq!(
            plain,
            [
                "work x-max-length=10 x-max-priority=3 x-overflow=drop-head x-queue-mode=lazy \
              x-queue-type=classic x-single-active-consumer=Boolean(true)"
            ]
        );
    }

    #[test]
    fn a_mismatch_is_told_without_the_virtual_host() {
        let said = "inequivalent arg 'x-queue-type' for queue 'a' in vhost 'hush': received 'b'";
        assert_eq!(
            without_vhost(said),
            "inequivalent arg 'x-queue-type' for queue 'a': received 'b'"
        );
    }
}
