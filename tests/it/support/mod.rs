//! What the tests stand on: a scripted origin, exact clients, and the proxy as a real process.
//!
//! Everything here blocks, on threads of its own, so that a test reads from top to bottom. Nothing sleeps but
//! [`wait::eventually`]: an origin that must pause waits for a [`Gate`] that the test opens.

#[cfg(feature = "nats")]
pub mod brokers;
mod check;
mod client;
mod config;
pub mod frames;
mod h2_client;
mod h2_origin;
pub mod imports;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod injections;
mod issuer;
#[cfg(feature = "kafka")]
mod kafka_cluster;
mod launch;
#[cfg(feature = "mysql")]
mod mariadb_server;
mod metrics;
mod nats_server;
mod origin;
mod otlp;
pub mod pki;
pub mod pod;
#[cfg(feature = "postgres")]
mod postgres_server;
mod process;
mod proxy;
mod record;
mod script;
mod socket;
pub mod sources;
mod tls_client;
mod tls_server;
pub mod tokens;
mod unreachable;
mod volume;
mod wait;
mod wire;

pub use check::check_live;
pub use client::{Client, Response};
pub use config::Setup;
pub use h2_client::H2Client;
pub use h2_origin::{H2Origin, LARGE};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use injections::injections;
pub use issuer::{Issuer, key_set, now};
#[cfg(feature = "kafka")]
pub use kafka_cluster::KafkaCluster;
pub use launch::Launch;
#[cfg(feature = "mysql")]
pub use mariadb_server::MariaDbServer;
pub use metrics::Metrics;
pub use nats_server::NatsServer;
pub use origin::Origin;
pub use otlp::{Collector, SentSpan, spans};
#[cfg(feature = "postgres")]
pub use postgres_server::{Pgbouncer, PostgresServer};
pub use process::Process;
pub use proxy::Proxy;
pub use record::Recorded;
pub use script::{Gate, Script};
pub use tls_client::TlsClient;
pub use tls_server::TlsServer;
pub use unreachable::{BlackHole, Refusing};
pub use wait::{LIMIT, SOON, eventually, stays};
pub use wire::Head;
