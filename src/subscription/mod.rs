//! `[subscriptions.*]`: messages of a broker that enter a route as requests.
//!
//! One task a subscription ([`runner`]) takes messages, has each become a request ([`request`]) that a route answers
//! ([`Deliver`]), judges by the answer what becomes of it ([`verdict`]), and has the broker take that before the message
//! is gone from where it was. Where nobody looked at a message, because the application is not up or the proxy itself
//! refused, that costs it no attempt: it is kept, and nothing more is taken until one comes through.

use crate::value::exposition::Metric;

mod account;
mod attempt;
mod config;
mod deliver;
mod gauges;
mod handle;
mod metrics;
mod request;
mod runner;
#[cfg(test)]
mod tests;
mod verdict;

pub use config::{AnswerKind, Config, OrderedBy};
pub use deliver::{Deliver, MOST_OF_ANSWER, Outcome};
pub use gauges::render_metrics;
pub use handle::{Start, Subscription};

/// What is counted of subscriptions.
pub const METRICS: &[Metric] = &[
    metrics::DELIVERED,
    metrics::ATTEMPTS,
    metrics::DEAD_LETTERED,
    metrics::IN_FLIGHT,
    metrics::LAG,
];
