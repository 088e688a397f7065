//! What is told of subscriptions when it is asked for, so that nothing is told of those that are gone.

use super::Subscription;
use super::metrics::{IN_FLIGHT, LAG};
use crate::value::exposition::labels;

/// Writes what Prometheus is told of the subscriptions that there are now.
pub fn render_metrics<'a>(
    subscriptions: impl Iterator<Item = &'a Subscription>,
    text: &mut String,
) {
    let now = |subscription: &Subscription| {
        let known = subscription.account.describe();
        let labels = labels([("subscription", &*subscription.name)]);
        (labels, known.in_flight, known.lag)
    };
    let all: Vec<_> = subscriptions.map(now).collect();
    if all.is_empty() {
        return;
    }
    IN_FLIGHT.write_head(text);
    for (labels, in_flight, _) in &all {
        IN_FLIGHT.write_sample(text, labels, in_flight);
    }
    LAG.write_head(text);
    for (labels, _, lag) in &all {
        if let Some(lag) = lag {
            LAG.write_sample(text, labels, lag);
        }
    }
}
