//! RabbitMQ, by AMQP 0-9-1.
//!
//! A client has two connections, because a broker that is short of memory or disk stops reading from whoever publishes,
//! acknowledgements included: one [`link`] publishes, and everything else goes over its other half. A [`supervisor`]
//! makes the link, declares on it what the config names ([`declare`]), and makes it anew when it ends.
//!
//! What goes wrong in AMQP closes a channel, with all that is under way on it. So publishing has its own channels
//! ([`publish`]), every consumer ([`consumer`]) has one, and so has every question ([`letters`]).
//!
//! A message that failed is published to the next step of its ladder and acknowledged only then ([`settle`]): a queue that
//! dead-letters back to where a message came from drops it without a word when it takes that for a circle. Attempts are
//! counted in a header of ours ([`headers`]). What a broker doubles as it ends is known again ([`given`]), and says so.

#[cfg(feature = "rabbitmq")]
mod book;
#[cfg(feature = "rabbitmq")]
mod client;
mod config;
#[cfg(feature = "rabbitmq")]
mod consumer;
#[cfg(feature = "rabbitmq")]
mod declare;
#[cfg(feature = "rabbitmq")]
mod failure;
#[cfg(feature = "rabbitmq")]
mod given;
#[cfg(feature = "rabbitmq")]
mod headers;
#[cfg(feature = "rabbitmq")]
mod lane;
#[cfg(feature = "rabbitmq")]
mod letters;
#[cfg(feature = "rabbitmq")]
mod link;
#[cfg(feature = "rabbitmq")]
mod names;
#[cfg(feature = "rabbitmq")]
mod properties;
#[cfg(feature = "rabbitmq")]
mod publish;
#[cfg(feature = "rabbitmq")]
mod ready;
#[cfg(feature = "rabbitmq")]
mod settle;
#[cfg(feature = "rabbitmq")]
mod shared;
#[cfg(feature = "rabbitmq")]
mod socket;
#[cfg(feature = "rabbitmq")]
mod supervisor;
#[cfg(feature = "rabbitmq")]
mod trust;
#[cfg(feature = "rabbitmq")]
mod url;

#[cfg(feature = "rabbitmq")]
pub(super) use client::connect;
pub use config::{ExchangeConfig, ExchangeType, QueueConfig};
#[cfg(feature = "rabbitmq")]
pub(super) use url::check_url;
