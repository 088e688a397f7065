//! NATS, with JetStream.
//!
//! A stream `orders` of the config has a ladder and dead letters in streams of their own, `orders-retry` and `orders-dlq`. Their
//! subjects cannot be `orders.retry.1` and `orders.dlq`, as those may be subjects of the stream itself, and one message
//! cannot be in two streams: they are `outrigger.orders.CONSUMER.retry.1` and `outrigger.orders.CONSUMER.dlq`. The
//! consumer is part of them because others that read the same stream must not see what failed here.
//!
//! [`link`] connects and connects again; each connection is a [`session`], and whoever publishes has one of its own from
//! [`super::lanes`]. [`declare`] creates the streams. What is taken from one is kept alive by [`unsettled`] until [`settle`] tells
//! the server what became of it.

#[cfg(feature = "nats")]
mod api;
#[cfg(feature = "nats")]
mod client;
mod config;
#[cfg(feature = "nats")]
mod consumer;
#[cfg(feature = "nats")]
mod dead_letters;
#[cfg(feature = "nats")]
mod declare;
#[cfg(feature = "nats")]
mod headers;
#[cfg(feature = "nats")]
mod heard;
#[cfg(feature = "nats")]
mod link;
#[cfg(feature = "nats")]
mod names;
#[cfg(feature = "nats")]
mod publish;
#[cfg(feature = "nats")]
mod pull;
#[cfg(feature = "nats")]
mod replies;
#[cfg(feature = "nats")]
mod session;
#[cfg(feature = "nats")]
mod settle;
#[cfg(feature = "nats")]
mod stored;
mod subject;
#[cfg(feature = "nats")]
mod taken;
#[cfg(feature = "nats")]
mod unreadable;
#[cfg(feature = "nats")]
mod unsettled;
#[cfg(feature = "nats")]
mod url;

#[cfg(feature = "nats")]
pub(super) use client::connect;
pub use config::StreamConfig;
#[cfg(feature = "nats")]
pub(super) use url::check as check_url;
