//! NATS, with JetStream.

mod config;

pub use config::StreamConfig;
