//! RabbitMQ, by AMQP 0-9-1.

mod config;

pub use config::{ExchangeConfig, QueueConfig};
