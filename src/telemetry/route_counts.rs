//! What was counted of one route, read back from the metrics for whoever asks about that route alone.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recorder::Registry;
use super::request_metrics::{DURATION, FAILED, IN_FLIGHT, REQUESTS};
use super::tally::Scale;
use crate::value::exposition::labels;

/// Counts of one route since the proxy began, or since the route came into the config.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteCounts {
    /// Requests whose answer has ended.
    pub requests: u64,
    pub successes: u64,
    /// Answered with 400 or more, or with a status of gRPC other than OK, or cut off before the end; also those whose caller
    /// left before there was an answer.
    pub failures: u64,
    pub in_flight: u64,
    /// From a request's head to the end of its answer; None before the first.
    pub mean_seconds: Option<f64>,
    /// Estimated from the buckets of the histogram: exact to the bucket, and at most the highest bound (30 s).
    pub p50_seconds: Option<f64>,
    pub p90_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    /// Requests by the status that their callers were told.
    pub statuses: BTreeMap<String, u64>,
}

/// Reads what was counted of `route`.
pub(super) fn read(registry: &Registry, route: &str) -> RouteCounts {
    let own = labels([("route", route)]);
    let (counts, sum) = registry.histogram(DURATION.name, &own).unwrap_or_default();
    let requests: u64 = counts.iter().sum();
    let failures = registry.counter(FAILED.name, &own).min(requests);
    let quantile = |q| (requests > 0).then(|| quantile(&counts, q));
    let mut statuses = BTreeMap::new();
    for (labels, count) in registry.counters_with(REQUESTS.name, &own) {
        if let Some(code) = value_of("code", &labels) {
            *statuses.entry(code.to_owned()).or_default() += count;
        }
    }
    RouteCounts {
        requests,
        successes: requests - failures,
        failures,
        in_flight: registry.gauge(IN_FLIGHT.name, &own).max(0.0) as u64,
        mean_seconds: (requests > 0).then(|| sum / requests as f64),
        p50_seconds: quantile(0.5),
        p90_seconds: quantile(0.9),
        p99_seconds: quantile(0.99),
        statuses,
    }
}

/// The value below which `q` of all lie, as if those of a bucket were spread evenly over it: what Prometheus's
/// `histogram_quantile` makes of the same buckets. What is above every bound counts as the highest.
fn quantile(counts: &[u64], q: f64) -> f64 {
    let total: u64 = counts.iter().sum();
    let rank = q * total as f64;
    let mut below = 0;
    let mut lower = 0.0;
    for (count, upper) in counts.iter().zip(Scale::Seconds.bounds()) {
        let with = below + count;
        if *count > 0 && with as f64 >= rank {
            return lower + (upper - lower) * (rank - below as f64) / *count as f64;
        }
        below = with;
        lower = *upper;
    }
    lower
}

/// The value of a label among labels as they are written, where it is a word without quotes in it.
fn value_of<'a>(label: &str, labels: &'a str) -> Option<&'a str> {
    let mut all = labels.split(',').filter_map(|one| one.split_once('='));
    let (_, value) = all.find(|(key, _)| *key == label)?;
    Some(value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::request_metrics::RouteMetrics;

    fn counted(count: impl FnOnce()) -> RouteCounts {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, count);
        read(&registry, "pay")
    }

    #[test]
    fn a_route_without_requests_has_no_times() {
        let counts = counted(|| drop(RouteMetrics::new("pay")));
        assert_eq!(counts, RouteCounts::default());
    }

    #[test]
    fn requests_of_all_listeners_are_told_by_status() {
        let counts = counted(|| {
            let pay = RouteMetrics::new("pay");
            for (listener, status) in [("a", 200), ("b", 200), ("a", 502), ("b", 404)] {
                pay.finished(&listener.into(), status, None, 0.003, 0, 0);
            }
            pay.failed();
            pay.failed();
            RouteMetrics::new("payments").finished(&"a".into(), 200, None, 9.0, 0, 0);
        });
        assert_eq!(
            (counts.requests, counts.successes, counts.failures),
            (4, 2, 2)
        );
        let statuses: Vec<_> = counts.statuses.iter().map(|(c, n)| (&**c, *n)).collect();
        assert_eq!(statuses, [("200", 2), ("404", 1), ("502", 1)]);
        assert!((counts.mean_seconds.unwrap() - 0.003).abs() < 1e-9);
        assert_eq!(counts.p50_seconds, Some(0.003_75));
    }

    #[test]
    fn counts_go_on_where_the_next_config_keeps_the_route() {
        let counts = counted(|| {
            let first = RouteMetrics::new("pay");
            first.finished(&"a".into(), 502, None, 0.1, 0, 0);
            first.failed();
            let second = RouteMetrics::new("pay").following(&first);
            second.finished(&"a".into(), 502, None, 0.1, 0, 0);
            second.failed();
        });
        assert_eq!((counts.requests, counts.failures), (2, 2));
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let mut counts = vec![0; Scale::Seconds.bounds().len() + 1];
        counts[1] = 90;
        counts[7] = 9;
        counts[15] = 1;
        let within = |q, from: f64, to: f64| {
            let found = quantile(&counts, q);
            assert!(from <= found && found <= to, "{q}: {found}");
        };
        within(0.5, 0.0005, 0.001);
        within(0.9, 0.0005, 0.001);
        within(0.95, 0.05, 0.1);
        within(0.999, 30.0, 30.0);
        assert_eq!(quantile(&[4; 1], 0.5), 0.00025);
    }
}
