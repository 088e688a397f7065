//! `[brokers.*]`: what carries messages between applications: RabbitMQ, NATS JetStream and Kafka.
//!
//! Whoever publishes or consumes sees a [`Client`]: one broker, to which it connects by itself, and again for as long as
//! it lives. A kind of broker is a folder with an implementation of that trait, its blocks of the config, and its line in
//! [`connect()`]; what a message is ([`Message`]), where it goes ([`Destination`]) and comes from ([`Source`]), and how its
//! delivery ended ([`Verdict`]) is the same for all.
//!
//! What is confirmed is stored by the broker, and what is taken from it is there until its delivery was settled.

mod address;
mod checked;
mod client;
mod config;
mod connect;
mod consumer;
#[cfg(test)]
pub(crate) mod fake;
mod kafka;
mod kind;
mod ladder;
#[cfg(any(feature = "nats", feature = "kafka"))]
mod lanes;
mod leads;
mod message;
mod nats;
mod place;
mod rabbitmq;
mod reserved;
pub mod span;
mod state;
mod successor;
mod url;

pub use address::{Address, AddressKeys};
pub use checked::{Checked, Opened};
pub use client::{Client, Confirmed, Refusal};
pub use config::Config;
pub use connect::connect;
pub use consumer::{Consumer, Delivery, Lost, Settle, Verdict};
pub use kind::Kind;
pub use ladder::Ladder;
pub use message::{DeadLetter, Message};
pub use place::{Destination, Source};
pub use reserved::is_reserved;
pub use state::{Link, METRICS, State, render_metrics};
pub use successor::succeed;
