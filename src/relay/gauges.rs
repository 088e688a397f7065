//! What is told of relays when it is asked for, so that nothing is told of those that are gone.

use super::Relay;
use super::metrics::{ASIDE, HEALTHY, HELD, LAG_ROWS, LAG_SECONDS};
use crate::value::exposition::{Metric, labels};

/// Writes what Prometheus is told of the relays that there are now.
pub fn render_metrics<'a>(relays: impl Iterator<Item = &'a Relay>, text: &mut String) {
    let now = |relay: &Relay| (labels([("relay", &*relay.name)]), relay.account.describe());
    let all: Vec<_> = relays.map(now).collect();
    if all.is_empty() {
        return;
    }
    let mut write = |metric: &Metric, samples: Vec<(&String, String)>| {
        metric.write_head(text);
        for (labels, value) in samples {
            metric.write_sample(text, labels, value);
        }
    };
    let healthy = all
        .iter()
        .map(|(labels, known)| (labels, u8::from(known.state.is_healthy()).to_string()));
    write(&HEALTHY, healthy.collect());
    let rows = all
        .iter()
        .filter_map(|(labels, known)| Some((labels, known.lag.rows?.to_string())));
    write(&LAG_ROWS, rows.collect());
    let seconds = all
        .iter()
        .filter_map(|(labels, known)| Some((labels, known.lag.oldest?.to_string())));
    write(&LAG_SECONDS, seconds.collect());
    let held = all
        .iter()
        .map(|(labels, known)| (labels, known.held.to_string()));
    write(&HELD, held.collect());
    let aside = all
        .iter()
        .filter_map(|(labels, known)| Some((labels, known.lag.set_aside?.to_string())));
    write(&ASIDE, aside.collect());
}
