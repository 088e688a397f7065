//! Kafka.

mod config;

pub use config::TopicConfig;
