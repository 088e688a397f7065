//! Kafka.
//!
//! The client is krafka 0.28.1, measured against rdkafka 0.39 (librdkafka 2.12) on two cores that others used as well: 3
//! minutes to build against 9, no C but what TLS has already, and TLS is rustls with aws-lc-rs as everywhere here, where
//! librdkafka needs OpenSSL beside it. Of what is written in Rust alone, it is the one that knows groups.
//!
//! What it does not do well, and what is made of it:
//! - It waits for the answers of all brokers before it gives out the messages of any, so each broker has a consumer of its own
//!   ([`fetch`]).
//! - By the cooperative protocol, its heartbeats throw it out of its own group ([`attach`]). By the other one everybody
//!   hands over all partitions before they are divided anew, which takes as long as what is out, 30 s at the most.
//! - It cannot take our TLS: it reads the files of `tls` itself, and knows neither `crl`, `identity` nor `min_version`.
//! - It makes the program 4.6 MB larger (30.6 MB), which idles with 0.08 MiB more of its own and 0.7 MiB more of its file
//!   mapped, whether Kafka is configured or not.
//!
//! - [`link`] connects and connects again, and has [`declare`] create what the config names. What is consumed, settled and
//!   asked for runs where that was made: krafka ties its connections to the runtime that it is called on.
//! - [`publish`] sends by a producer that is idempotent and waits for all replicas, one for each runtime that publishes
//!   ([`super::lanes`]).
//! - [`attach`] joins a group, by which some partitions are [`ours`]. [`fetch`] reads these as is the [`plan`], by answers that
//!   a broker may [`hold`] back for a while, and each message is then [`taken`] ([`held`]) until it is settled by the [`consumer`] it was
//!   given out by. Offsets are committed up to the first that is not settled, each with a note up to where messages
//!   may have been given out: by that, whoever has the partition next says of a message that it may come again
//!   ([`partition`]).
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
mod fetch;
#[cfg(feature = "kafka")]
mod held;
#[cfg(feature = "kafka")]
mod hold;
#[cfg(feature = "kafka")]
mod letters;
#[cfg(feature = "kafka")]
mod link;
#[cfg(feature = "kafka")]
mod names;
#[cfg(feature = "kafka")]
mod ours;
#[cfg(feature = "kafka")]
mod partition;
#[cfg(feature = "kafka")]
mod plan;
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
