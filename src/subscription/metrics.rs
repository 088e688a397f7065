//! What is counted of deliveries.

use metrics::{Counter, Histogram, counter, histogram};

use crate::value::exposition::Metric;

pub const DELIVERED: Metric = Metric::counter(
    "outrigger_delivered_total",
    "Deliveries of messages that have ended, by what became of them.",
);
pub const ATTEMPTS: Metric = Metric::counts(
    "outrigger_delivery_attempts",
    "How often messages were tried until they were delivered or given up.",
);
pub const DEAD_LETTERED: Metric = Metric::counter(
    "outrigger_dead_lettered_total",
    "Messages that were put among the dead letters, by why.",
);
pub const IN_FLIGHT: Metric = Metric::gauge(
    "outrigger_subscription_in_flight",
    "Messages that were taken and not settled.",
);
pub const LAG: Metric = Metric::gauge(
    "outrigger_subscription_lag",
    "Messages that wait at the broker to be delivered.",
);

/// How a delivery is called that the application has taken.
pub(super) const ACKED: &str = "acked";

/// Of one subscription.
pub(super) struct Metrics {
    name: String,
    /// What nearly all become.
    acked: Counter,
    attempts: Histogram,
}

impl Metrics {
    pub fn new(name: &str) -> Self {
        Metrics {
            name: name.to_owned(),
            acked: counter!(DELIVERED.name, "subscription" => name.to_owned(), "result" => ACKED),
            attempts: histogram!(ATTEMPTS.name, "subscription" => name.to_owned()),
        }
    }

    /// A delivery has ended.
    pub fn delivered(&self, result: &'static str) {
        if result == ACKED {
            self.acked.increment(1);
            return;
        }
        let name = self.name.clone();
        counter!(DELIVERED.name, "subscription" => name, "result" => result).increment(1);
    }

    /// No more is tried with a message.
    pub fn is_over(&self, attempts: u32) {
        self.attempts.record(f64::from(attempts));
    }

    pub fn dead_lettered(&self, reason: &str) {
        let (name, reason) = (self.name.clone(), reason.to_owned());
        counter!(DEAD_LETTERED.name, "subscription" => name, "reason" => reason).increment(1);
    }
}
