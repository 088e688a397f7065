//! Kafka.
//!
//! The client is krafka 0.28.1, measured against rdkafka 0.39 (librdkafka 2.12) on two cores that others used as well: 3
//! minutes to build against 9, no C but what TLS has already, and TLS is rustls with aws-lc-rs as everywhere here, where
//! librdkafka needs OpenSSL beside it. Against a cluster of three brokers of librdkafka's, 20,000 messages published while the
//! connections of each broker were cut twice were all confirmed and there, each key in order on the partition that Java's and
//! librdkafka's clients choose; 2,000 messages read by a group whose members came, left and vanished were all seen.
//!
//! What it does not do well, and why nobody has this who does not build it in:
//! - It waits for the answers of all brokers before it gives out the messages of any.
//! - A heartbeat that waits at the broker behind the request to join anew is answered as one of the generation before, which
//!   krafka takes for being thrown out, or which ends its heartbeats: its partitions are lost and join once more. Nothing is
//!   lost by that, and what was out comes twice. It has to be joined anew when commits fail for long.
//! - It cannot take our TLS: it reads the files of `tls` itself, and knows neither `crl`, `identity` nor `min_version`.
//!
//! - [`link`] connects and connects again, and has [`declare`] create what the config names. Everything runs where it was
//!   made: krafka ties its connections to the runtime that it is called on.
//! - [`publish`] sends by a producer that is idempotent and waits for all replicas.
//! - [`attach`] joins a group and takes messages, each of which is then [`taken`] until it is settled by the [`consumer`]
//!   it was given out by. Offsets are committed up to the first that is not settled ([`partition`]).
//! - A message of the topic `orders` that failed is copied to `orders.retry.1` and so on, or to `orders.dlq`, and is settled only
//!   when the copy is stored. All groups that read a topic share these: each copy has the name of its group in a header
//!   ([`record`]), and the others pass over it. Members of a group read the topic and its retries, and leave a partition
//!   alone until its first copy is due.
//! - [`letters`] are the dead ones. A group has seen those up to an offset that it commits as another group, `GROUP.replay`: a replay
//!   and a deletion only move it, as Kafka deletes for all groups at once.

#[cfg(feature = "kafka")]
mod attach;
#[cfg(feature = "kafka")]
mod client;
mod config;
#[cfg(feature = "kafka")]
mod consumer;
#[cfg(feature = "kafka")]
mod declare;
#[cfg(feature = "kafka")]
mod letters;
#[cfg(feature = "kafka")]
mod link;
#[cfg(feature = "kafka")]
mod names;
#[cfg(feature = "kafka")]
mod partition;
#[cfg(feature = "kafka")]
mod publish;
#[cfg(feature = "kafka")]
mod record;
#[cfg(feature = "kafka")]
mod settings;
#[cfg(feature = "kafka")]
mod taken;
#[cfg(feature = "kafka")]
mod url;

#[cfg(feature = "kafka")]
pub(super) use client::connect;
pub use config::{TopicConfig, check_tls};
#[cfg(feature = "kafka")]
pub(super) use url::check as check_url;
