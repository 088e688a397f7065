//! What was counted of one route, read back from the metrics.

use std::collections::BTreeMap;

use serde::Serialize;

use super::recorder::Registry;
use super::request_metrics::{
    DURATION, FAILED, IN_FLIGHT, REFUSED, REQUEST_BYTES, REQUESTS, RESPONSE_BYTES,
};
use super::times::Times;
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
    /// From a request's head to the end of its answer.
    #[serde(flatten)]
    pub times: Times,
    /// Requests by the status that their callers were told.
    pub statuses: BTreeMap<String, u64>,
    /// Requests that the proxy has answered itself, by its word for why.
    pub refused: BTreeMap<String, u64>,
    /// Of bodies.
    pub request_bytes: u64,
    pub response_bytes: u64,
}

/// Reads what was counted of each of `routes`.
pub(super) fn read<'a>(
    registry: &Registry,
    routes: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, RouteCounts> {
    let mut statuses = by_route(registry, REQUESTS.name, "code");
    let mut refused = by_route(registry, REFUSED.name, "reason");
    let counts = routes.into_iter().map(|route| {
        let own = labels([("route", route)]);
        let times = Times::of(registry.histogram(DURATION.name, &own).unwrap_or_default());
        let requests = times.count();
        let failures = registry.counter(FAILED.name, &own).min(requests);
        let counts = RouteCounts {
            requests,
            successes: requests - failures,
            failures,
            in_flight: registry.gauge(IN_FLIGHT.name, &own).max(0.0) as u64,
            times,
            statuses: statuses.remove(route).unwrap_or_default(),
            refused: refused.remove(route).unwrap_or_default(),
            request_bytes: registry.counter(REQUEST_BYTES.name, &own),
            response_bytes: registry.counter(RESPONSE_BYTES.name, &own),
        };
        (route.to_owned(), counts)
    });
    counts.collect()
}

/// What the counter `name` has of each route, by the values of `label`, of those that were counted at all.
fn by_route(
    registry: &Registry,
    name: &str,
    label: &str,
) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut routes: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let counted = registry.sums(name, ["route", label]);
    for ([route, value], count) in counted.into_iter().filter(|(_, count)| *count > 0) {
        routes.entry(route).or_default().insert(value, count);
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::request_metrics::RouteMetrics;

    fn counted(count: impl FnOnce()) -> RouteCounts {
        let registry = Registry::default();
        metrics::with_local_recorder(&registry, count);
        read(&registry, ["pay"]).remove("pay").unwrap()
    }

    #[test]
    fn a_route_without_requests_has_no_times() {
        let counts = counted(|| drop(RouteMetrics::new("pay")));
        assert_eq!((counts.requests, counts.times.p50_seconds), (0, None));
        assert!(counts.statuses.is_empty() && counts.refused.is_empty());
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
        assert!((counts.times.mean_seconds.unwrap() - 0.003).abs() < 1e-9);
        assert_eq!(counts.times.p50_seconds, Some(0.003_75));
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
}
