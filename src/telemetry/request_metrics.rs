//! What is counted of every request, by route.
//!
//! Handles are made when a snapshot is built, because finding a metric by its labels hashes and locks. Which
//! listeners and status codes a route meets shows only at run time: those handles are made at the first request
//! that needs them, and found without a lock from then on. All else counts from 0: for what must see the first of
//! something, there are the counts of durations and of failures by route.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::http::error::{CALLER_GONE, Reason};
use crate::http::grpc::Status;
use crate::telemetry::failures::Failures;
use crate::telemetry::requests::Requests;
use crate::value::exposition::Metric;

pub(super) const REQUESTS: Metric = Metric::counter(
    "outrigger_requests_total",
    "Requests answered, by route and status code.",
);
pub(super) const DURATION: Metric = Metric::histogram(
    "outrigger_request_duration_seconds",
    "From a request's head to the end of its answer.",
);
pub(super) const IN_FLIGHT: Metric = Metric::gauge(
    "outrigger_requests_in_flight",
    "Requests whose answer has not ended.",
);
pub(super) const REQUEST_BYTES: Metric =
    Metric::counter("outrigger_request_bytes_total", "Bytes of request bodies.");
pub(super) const RESPONSE_BYTES: Metric = Metric::counter(
    "outrigger_response_bytes_total",
    "Bytes of response bodies.",
);
pub(super) const REFUSED: Metric = Metric::counter(
    "outrigger_refused_total",
    "Requests answered by the proxy itself because they were refused or failed, or cut off by it.",
);
const CALLERS_GONE: Metric = Metric::counter(
    "outrigger_callers_gone_total",
    "Requests whose caller went away before the end of the answer.",
);
pub(super) const FAILED: Metric = Metric::counter(
    "outrigger_requests_failed_total",
    "Requests answered with 400 or more or a status of gRPC other than OK, or cut off before the end.",
);
const GRPC_RESPONSES: Metric = Metric::counter(
    "outrigger_grpc_responses_total",
    "Calls of gRPC, by the upstream that answered (\"\": the proxy itself) and their status; \
         in_body: a page's call, whose status stands in the body.",
);

/// All of these.
pub const METRICS: &[Metric] = &[
    REQUESTS,
    DURATION,
    IN_FLIGHT,
    REQUEST_BYTES,
    RESPONSE_BYTES,
    REFUSED,
    CALLERS_GONE,
    FAILED,
    GRPC_RESPONSES,
];

/// The route label of requests that no route takes.
pub const NO_ROUTE: &str = "none";

/// Where the status of a call stands in the body, which is not read: the gRPC of browsers.
const IN_BODY: &str = "in_body";

/// The metrics of one route. Those made for the same name count together, so counts outlive a reload.
pub struct RouteMetrics {
    route: Arc<str>,
    requests: Series<Answered>,
    refused: Series<&'static str>,
    grpc: Series<Called>,
    duration: Histogram,
    in_flight: Gauge,
    request_bytes: Counter,
    response_bytes: Counter,
    callers_gone: Counter,
    failed: Counter,
    failures: Arc<Failures>,
    kept: Arc<Requests>,
    slow_after: Duration,
}

impl RouteMetrics {
    /// `route` is a name from the config, or [`NO_ROUTE`].
    pub fn new(route: &str) -> Self {
        let route: Arc<str> = route.into();
        RouteMetrics {
            requests: Series::default(),
            refused: Series::default(),
            grpc: Series::default(),
            duration: histogram!(DURATION.name, "route" => route.clone()),
            in_flight: gauge!(IN_FLIGHT.name, "route" => route.clone()),
            request_bytes: counter!(REQUEST_BYTES.name, "route" => route.clone()),
            response_bytes: counter!(RESPONSE_BYTES.name, "route" => route.clone()),
            callers_gone: counter!(CALLERS_GONE.name, "route" => route.clone()),
            failed: counter!(FAILED.name, "route" => route.clone()),
            failures: Arc::default(),
            kept: Arc::default(),
            slow_after: Duration::MAX,
            route,
        }
    }

    /// The same, where requests that fail, or whose answer begins only `slow_after`, are kept with all others'.
    #[must_use]
    pub fn kept_in(self, kept: &Arc<Requests>, slow_after: Duration) -> Self {
        RouteMetrics {
            kept: kept.clone(),
            slow_after,
            ..self
        }
    }

    /// The same, where what is refused for one of these reasons is counted from 0: the first shows as one. What an upstream
    /// does to a request is counted of the upstream so, and here from the first.
    #[must_use]
    pub fn may_refuse(self, reasons: &[Reason]) -> Self {
        for reason in reasons {
            self.refused(*reason);
        }
        self
    }

    /// From when on an answer is slow.
    #[inline]
    pub fn slow_after(&self) -> Duration {
        self.slow_after
    }

    /// Where requests are kept that fail or take long.
    pub fn requests(&self) -> &Requests {
        &self.kept
    }

    pub fn route(&self) -> &Arc<str> {
        &self.route
    }

    /// The same, with the failures that those of the same name in the config before know.
    #[must_use]
    pub fn following(mut self, before: &RouteMetrics) -> Self {
        self.failures = before.failures.clone();
        self
    }

    /// Counts a request as in flight for as long as the returned value lives.
    pub fn started(self: &Arc<Self>) -> InFlight {
        self.in_flight.increment(1);
        InFlight(self.clone())
    }

    /// Counts a request whose answer has ended.
    ///
    /// `status` is what the caller was told, `reason` is set when the proxy itself made that answer out of a
    /// refusal or failure, `seconds` run from the request's head to the end of its answer, and the bytes are
    /// those of the bodies, as they passed.
    pub fn finished(
        &self,
        listener: &Arc<str>,
        status: u16,
        reason: Option<Reason>,
        seconds: f64,
        request_bytes: u64,
        response_bytes: u64,
    ) {
        self.answered(listener, status).increment(1);
        self.duration.record(seconds);
        if request_bytes > 0 {
            self.request_bytes.increment(request_bytes);
        }
        if response_bytes > 0 {
            self.response_bytes.increment(response_bytes);
        }
        match reason {
            None => {}
            Some(CALLER_GONE) => self.callers_gone.increment(1),
            Some(reason) => self.refused(reason).increment(1),
        }
    }

    /// Counts a request as failed, beside [`RouteMetrics::finished`].
    pub fn failed(&self) {
        self.failed.increment(1);
    }

    /// The newest requests that failed.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Counts a call of gRPC that has ended: who answered, unless it was the proxy itself, and with which status.
    pub fn grpc_ended(&self, upstream: Option<&Arc<str>>, status: Option<Status>) {
        let counter = self.grpc.get(
            |key| key.status == status && key.upstream.as_deref() == upstream.map(|name| &**name),
            || {
                let counter = counter!(
                    GRPC_RESPONSES.name,
                    "route" => self.route.clone(),
                    "upstream" => upstream.cloned().unwrap_or_default(),
                    "grpc_status" => status.map_or(IN_BODY, Status::name),
                );
                let upstream = upstream.cloned();
                (Called { upstream, status }, counter)
            },
        );
        counter.increment(1);
    }

    fn answered(&self, listener: &Arc<str>, status: u16) -> &Counter {
        self.requests.get(
            |key| key.status == status && *key.listener == **listener,
            || {
                let counter = counter!(
                    REQUESTS.name,
                    "listener" => listener.clone(),
                    "route" => self.route.clone(),
                    "code" => status.to_string(),
                );
                let listener = listener.clone();
                (Answered { listener, status }, counter)
            },
        )
    }

    fn refused(&self, reason: Reason) -> &Counter {
        self.refused.get(
            |key| *key == reason.name,
            || {
                let counter =
                    counter!(REFUSED.name, "route" => self.route.clone(), "reason" => reason.name);
                (reason.name, counter)
            },
        )
    }
}

impl std::fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RouteMetrics({})", self.route)
    }
}

/// One request in flight, until this drops.
#[must_use = "the request counts as in flight only while this lives"]
pub struct InFlight(Arc<RouteMetrics>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.decrement(1);
    }
}

struct Answered {
    listener: Arc<str>,
    status: u16,
}

struct Called {
    upstream: Option<Arc<str>>,
    status: Option<Status>,
}

/// Counters found by a walk along a chain that only grows: no lock, no hash, and for the few keys that a route
/// meets, a step or two.
struct Series<K> {
    first: Link<K>,
}

type Link<K> = OnceLock<Box<Node<K>>>;

struct Node<K> {
    key: K,
    counter: Counter,
    next: Link<K>,
}

impl<K> Series<K> {
    fn get(&self, is: impl Fn(&K) -> bool, make: impl Fn() -> (K, Counter)) -> &Counter {
        let mut link = &self.first;
        loop {
            // When two threads race for the end of the chain, the loser finds the winner's node here and walks on.
            let node = link.get_or_init(|| {
                let (key, counter) = make();
                let next = Link::new();
                Box::new(Node { key, counter, next })
            });
            if is(&node.key) {
                return &node.counter;
            }
            link = &node.next;
        }
    }
}

impl<K> Default for Series<K> {
    fn default() -> Self {
        Series { first: Link::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::OVERLOADED;
    use crate::telemetry::metrics::tests::rendered;

    #[test]
    fn an_answer_is_counted_by_listener_route_and_code() {
        let text = rendered(|| {
            let pay = RouteMetrics::new("pay");
            let (inner, outer) = ("inner".into(), "outer".into());
            pay.finished(&inner, 200, None, 0.002, 10, 100);
            pay.finished(&inner, 200, None, 0.002, 10, 100);
            pay.finished(&inner, 404, None, 0.002, 0, 0);
            pay.finished(&outer, 200, None, 0.002, 0, 0);
        });
        for line in [
            "outrigger_requests_total{listener=\"inner\",route=\"pay\",code=\"200\"} 2",
            "outrigger_requests_total{listener=\"inner\",route=\"pay\",code=\"404\"} 1",
            "outrigger_requests_total{listener=\"outer\",route=\"pay\",code=\"200\"} 1",
            "outrigger_request_duration_seconds_count{route=\"pay\"} 4",
            "outrigger_request_bytes_total{route=\"pay\"} 20",
            "outrigger_response_bytes_total{route=\"pay\"} 200",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(!text.contains("outrigger_refused_total"));
    }

    #[test]
    fn a_refusal_is_counted_by_reason() {
        let text = rendered(|| {
            let none = RouteMetrics::new(NO_ROUTE);
            none.finished(&"in".into(), 503, Some(OVERLOADED), 0.001, 0, 0);
        });
        assert!(text.contains("outrigger_refused_total{route=\"none\",reason=\"overloaded\"} 1"));
    }

    #[test]
    fn what_may_happen_is_counted_from_nothing() {
        let text = rendered(|| {
            let reasons = [OVERLOADED, OVERLOADED];
            let pay = RouteMetrics::new("pay").may_refuse(&reasons);
            pay.finished(&"in".into(), 499, Some(CALLER_GONE), 0.001, 0, 0);
        });
        for line in [
            "outrigger_refused_total{route=\"pay\",reason=\"overloaded\"} 0",
            "outrigger_requests_failed_total{route=\"pay\"} 0",
            "outrigger_callers_gone_total{route=\"pay\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
        assert!(!text.contains("caller_gone\""), "{text}");
    }

    #[test]
    fn a_call_of_grpc_is_counted_by_who_answered_and_by_its_status() {
        let text = rendered(|| {
            let pay = RouteMetrics::new("pay");
            let upstream = "payments".into();
            pay.grpc_ended(Some(&upstream), Some(Status::OK));
            pay.grpc_ended(Some(&upstream), Some(Status::OK));
            pay.grpc_ended(Some(&upstream), None);
            pay.grpc_ended(None, Some(Status::UNAVAILABLE));
        });
        for (upstream, status, count) in [
            ("payments", "OK", 2),
            ("payments", "in_body", 1),
            ("", "UNAVAILABLE", 1),
        ] {
            let line = format!(
                "outrigger_grpc_responses_total{{route=\"pay\",upstream=\"{upstream}\",grpc_status=\"{status}\"}} {count}"
            );
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_request_is_in_flight_until_its_guard_drops() {
        let text = rendered(|| {
            let pay = Arc::new(RouteMetrics::new("pay"));
            drop(pay.started());
            std::mem::forget(pay.started());
        });
        assert!(text.contains("outrigger_requests_in_flight{route=\"pay\"} 1"));
    }

    #[test]
    fn a_route_of_the_next_config_goes_on_counting() {
        let text = rendered(|| {
            for _ in 0..2 {
                RouteMetrics::new("pay").finished(&"in".into(), 200, None, 0.001, 0, 0);
            }
        });
        assert!(text.contains("code=\"200\"} 2"), "{text}");
    }

    #[test]
    fn threads_that_race_share_one_counter() {
        let series = Series::<usize>::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for key in 0..50 {
                        series.get(|k| *k == key, || (key, Counter::noop()));
                    }
                });
            }
        });
        let mut keys = Vec::new();
        let mut link = &series.first;
        while let Some(node) = link.get() {
            keys.push(node.key);
            link = &node.next;
        }
        keys.sort_unstable();
        assert_eq!(keys, (0..50).collect::<Vec<_>>());
    }
}
