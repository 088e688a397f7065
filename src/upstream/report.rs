//! What an upstream tells of itself: to the admin API, and as gauges.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::Gauge;
use serde::Serialize;
use tokio::time::Instant;

use super::balance::balancer::BalancerConfig;
use super::balance::picker::Availability;
use crate::upstream::traffic::{REQUESTS, Requests};
use crate::upstream::{EndpointList, Listed, Upstream};
use crate::value::Name;
use crate::value::exposition::{Metric, labels};

/// Endpoints of an upstream, by the state that they are in.
pub const ENDPOINTS: Metric =
    Metric::gauge("outrigger_upstream_endpoints", "Endpoints of an upstream.");
/// Whether each of them may be picked.
pub const HEALTHY: Metric = Metric::gauge(
    "outrigger_endpoint_healthy",
    "1 while an endpoint may be picked, else 0.",
);

/// An upstream, as `GET /upstreams/{name}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    pub name: String,
    pub in_flight: usize,
    pub max_in_flight: usize,
    pub balancer: BalancerConfig,
    /// The newest of its endpoints' last failures; None when there was none.
    pub last_error: Option<UpstreamError>,
    pub endpoints: Vec<EndpointDescription>,
}

/// A failure of an upstream, and whose it is.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamError {
    pub endpoint: String,
    #[serde(flatten)]
    pub error: ErrorDescription,
}

/// An endpoint, as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointDescription {
    pub name: String,
    pub address: String,
    pub weight: u32,
    pub state: Availability,
    /// Its last health check; None before the first.
    pub check: Option<CheckDescription>,
    /// Requests that failed in a row, as far as the endpoint is to blame.
    pub failures: u32,
    /// By how many times its last ejection was prolonged.
    pub ejections: u32,
    pub in_flight: usize,
    /// Attempts at it since it came, by what came of them.
    pub requests: Requests,
    /// Moving average of the time to the response head; None when no request came lately.
    pub latency_seconds: Option<f64>,
    /// What the balancer reckons with instead, for a while after failures; None otherwise.
    pub penalty_seconds: Option<f64>,
    /// The last failure for which it is to blame; None when there was none.
    pub last_error: Option<ErrorDescription>,
    pub connections: Connections,
}

/// A health check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckDescription {
    pub seconds_ago: f64,
    /// Why it failed; None when it passed.
    pub failure: Option<String>,
}

/// A failure.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorDescription {
    /// RFC 3339.
    pub at: String,
    pub seconds_ago: f64,
    pub error: String,
}

impl ErrorDescription {
    fn new(ago: Duration, error: String) -> Self {
        let at = SystemTime::now().checked_sub(ago);
        let at = humantime::format_rfc3339_millis(at.unwrap_or(SystemTime::UNIX_EPOCH));
        ErrorDescription {
            at: at.to_string(),
            seconds_ago: ago.as_secs_f64(),
            error,
        }
    }
}

/// The newest failure of `endpoints`.
pub fn newest_error(endpoints: &[EndpointDescription]) -> Option<UpstreamError> {
    let errors = endpoints.iter().filter_map(|endpoint| {
        let error = endpoint.last_error.clone()?;
        Some((error, &endpoint.address))
    });
    let newest = errors.min_by(|(a, _), (b, _)| a.seconds_ago.total_cmp(&b.seconds_ago));
    newest.map(|(error, endpoint)| UpstreamError {
        endpoint: endpoint.clone(),
        error,
    })
}

/// How many connections there are to an endpoint, and how many of them have nothing to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Connections {
    pub open: usize,
    pub idle: usize,
}

/// Describes the endpoints of `list`.
pub fn endpoints(upstream: &Upstream, list: &EndpointList) -> Vec<EndpointDescription> {
    let now = Instant::now();
    list.entries()
        .iter()
        .map(|entry| EndpointDescription::of(upstream, entry, now))
        .collect()
}

impl EndpointDescription {
    fn of(upstream: &Upstream, entry: &Listed, now: Instant) -> Self {
        let Listed { endpoint, weight } = entry;
        let (open, idle) = endpoint.connections();
        EndpointDescription {
            name: endpoint.name.to_string(),
            address: endpoint.address.to_string(),
            weight: *weight,
            state: upstream.picker.availability(endpoint, now),
            check: endpoint.health.last().map(|check| CheckDescription {
                seconds_ago: now.saturating_duration_since(check.at).as_secs_f64(),
                failure: check.failure,
            }),
            failures: endpoint.standing.failures(),
            ejections: endpoint.standing.ejections(),
            in_flight: endpoint.load.in_flight(),
            requests: endpoint.traffic.now(),
            latency_seconds: endpoint.load.latency(now).map(|l| l.as_secs_f64()),
            penalty_seconds: endpoint.load.penalty(now).map(|p| p.as_secs_f64()),
            last_error: endpoint
                .last_error
                .last()
                .map(|(at, error)| ErrorDescription::new(now.saturating_duration_since(at), error)),
            connections: Connections { open, idle },
        }
    }
}

/// Writes, as Prometheus reads it, for each endpoint whether it may be picked. A name that stands for several
/// addresses may be while one of them may. It is no gauge of the recorder, which would go on to tell of endpoints
/// that are gone. Original destinations are not among them: they have no names, and callers say how many there are.
pub fn render_health<'a>(upstreams: impl Iterator<Item = &'a Arc<Upstream>>, text: &mut String) {
    let now = Instant::now();
    let mut lines = String::new();
    for upstream in upstreams.filter(|upstream| upstream.original.is_none()) {
        let list = upstream.follower.set().load_full();
        let mut healthy: BTreeMap<&str, bool> = BTreeMap::new();
        for Listed { endpoint, .. } in list.entries() {
            let available = upstream.picker.availability(endpoint, now) == Availability::Available;
            *healthy.entry(endpoint.label()).or_default() |= available;
        }
        for (endpoint, healthy) in healthy {
            let (upstream, healthy) = (&upstream.name, u8::from(healthy));
            let labels = labels([("upstream", &**upstream), ("endpoint", endpoint)]);
            HEALTHY.write_sample(&mut lines, &labels, healthy);
        }
    }
    if !lines.is_empty() {
        HEALTHY.write_head(text);
        text.push_str(&lines);
    }
}

/// Writes the same way what came of requests at each endpoint: by its address, as the access log has it, so that no sum
/// falls when one of several addresses of a name goes.
pub fn render_traffic<'a>(upstreams: impl Iterator<Item = &'a Arc<Upstream>>, text: &mut String) {
    let mut lines = String::new();
    for upstream in upstreams.filter(|upstream| upstream.original.is_none()) {
        let list = upstream.follower.set().load_full();
        let mut traffic: BTreeMap<&str, Requests> = BTreeMap::new();
        for Listed { endpoint, .. } in list.entries() {
            *traffic.entry(&endpoint.shown).or_default() += endpoint.traffic.now();
        }
        for (endpoint, requests) in traffic {
            for (result, count) in requests.by_result() {
                let labels = labels([
                    ("upstream", &*upstream.name),
                    ("endpoint", endpoint),
                    ("result", result),
                ]);
                REQUESTS.write_sample(&mut lines, &labels, count);
            }
        }
    }
    if !lines.is_empty() {
        REQUESTS.write_head(text);
        text.push_str(&lines);
    }
}

/// The handles of an upstream's gauges.
pub struct Gauges {
    available: Gauge,
    unhealthy: Gauge,
    ejected: Gauge,
}

impl Gauges {
    pub fn new(upstream: &Name) -> Self {
        let endpoints = |state| metrics::gauge!(ENDPOINTS.name, "upstream" => upstream.shared(), "state" => state);
        Gauges {
            available: endpoints("available"),
            unhealthy: endpoints("unhealthy"),
            ejected: endpoints("ejected"),
        }
    }

    /// Counts the endpoints of `list`.
    pub fn set(&self, upstream: &Upstream, list: &EndpointList) {
        let now = Instant::now();
        let gauges = [
            (Availability::Available, &self.available),
            (Availability::Unhealthy, &self.unhealthy),
            (Availability::Ejected, &self.ejected),
        ];
        for (state, gauge) in gauges {
            let endpoints = list.entries().iter();
            let count = endpoints
                .filter(|e| upstream.picker.availability(&e.endpoint, now) == state)
                .count();
            gauge.set(count as f64);
        }
    }
}
