//! A route of connections, ready to take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge};

use super::config::Config;
use crate::upstream::{ORIGINAL_DESTINATION, Upstream};
use crate::value::exposition::Metric;

const OPEN: Metric = Metric::gauge(
    "outrigger_passed_through_connections_open",
    "Connections that are not HTTP and go on as they are, by the TCP route that took them.",
);
const PASSED: Metric = Metric::counter(
    "outrigger_passed_through_connections_total",
    "Connections that are not HTTP, by what came of them: `ok` went on as it was.",
);
const BYTES: Metric = Metric::counter(
    "outrigger_passed_through_bytes_total",
    "Bytes of connections that are not HTTP, counted when a connection ends, by whether they came from the caller.",
);

/// What is counted of what is passed through.
pub const METRICS: &[Metric] = &[OPEN, PASSED, BYTES];

/// A route of connections.
pub struct TcpRoute {
    /// From the config; `none` for what no route takes.
    pub name: Arc<str>,
    pub(super) target: Target,
    /// None: the listener's.
    pub idle_timeout: Option<Duration>,
    max_connections: usize,
    open: Arc<AtomicUsize>,
}

/// Where connections go.
pub(super) enum Target {
    Upstream(Arc<Upstream>),
    OriginalDestination,
    Refuse,
}

/// A connection that a route has; it counts until it is dropped.
pub struct Place {
    open: Arc<AtomicUsize>,
    gauge: Gauge,
}

impl TcpRoute {
    /// By `config`. `old` is the route of the same name before a reload, whose connections count here as well. None where
    /// its upstream is not there, which a check has reported.
    pub fn next(
        name: &str,
        config: &Config,
        upstream: impl FnOnce(&str) -> Option<Arc<Upstream>>,
        old: Option<&TcpRoute>,
    ) -> Option<Self> {
        let target = match &config.upstream {
            None => Target::Refuse,
            Some(name) if name == ORIGINAL_DESTINATION => Target::OriginalDestination,
            Some(name) => Target::Upstream(upstream(name)?),
        };
        Some(TcpRoute {
            name: name.into(),
            target,
            idle_timeout: config.idle_timeout.map(|length| length.0),
            max_connections: config.max_connections,
            open: old.map(|old| old.open.clone()).unwrap_or_default(),
        })
    }

    /// Of what no route takes: it goes where its caller wanted.
    pub fn none() -> Self {
        TcpRoute {
            name: "none".into(),
            target: Target::OriginalDestination,
            idle_timeout: None,
            max_connections: usize::MAX,
            open: Arc::default(),
        }
    }

    /// The upstream that it names.
    pub fn upstream(&self) -> Option<&str> {
        match &self.target {
            Target::Upstream(upstream) => Some(upstream.name()),
            Target::OriginalDestination | Target::Refuse => None,
        }
    }

    /// A place for one more connection to `listener`, if it may have one.
    pub fn enter(&self, listener: &Arc<str>) -> Option<Place> {
        // Counted before it is compared, so that two that come at once are never both let in at the last place.
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let (listener, route) = (listener.clone(), self.name.clone());
        let gauge = gauge!(OPEN.name, "listener" => listener, "route" => route);
        gauge.increment(1);
        let place = Place {
            open: self.open.clone(),
            gauge,
        };
        (before < self.max_connections).then_some(place)
    }

    /// What came of a connection. A handle is made for each: they are few, and last long.
    pub fn count(&self, listener: &Arc<str>, result: &'static str) {
        let (listener, route) = (listener.clone(), self.name.clone());
        counter!(PASSED.name, "listener" => listener, "route" => route, "result" => result)
            .increment(1);
    }

    pub fn count_bytes(&self, listener: &Arc<str>, from_caller: u64, from_server: u64) {
        let from = |from: &'static str| -> Counter {
            let (listener, route) = (listener.clone(), self.name.clone());
            counter!(BYTES.name, "listener" => listener, "route" => route, "from" => from)
        };
        from("caller").increment(from_caller);
        from("server").increment(from_server);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(max_connections: usize, old: Option<&TcpRoute>) -> TcpRoute {
        let text = format!("refuse = true\nmax_connections = {max_connections}");
        let config = toml::from_str(&text).unwrap();
        TcpRoute::next("db", &config, |_| None, old).unwrap()
    }

    #[test]
    fn a_route_has_so_many_connections_and_knows_them_after_a_reload() {
        let listener: Arc<str> = "out".into();
        let before = route(2, None);
        let first = before.enter(&listener);
        let _second = before.enter(&listener).unwrap();
        assert!(before.enter(&listener).is_none());
        let after = route(2, Some(&before));
        assert!(after.enter(&listener).is_none());
        drop(first);
        assert!(after.enter(&listener).is_some());
    }
}
