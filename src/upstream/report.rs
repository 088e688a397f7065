//! What an upstream tells of itself: to the admin API, and as gauges.

use metrics::Gauge;
use serde::Serialize;
use tokio::time::Instant;

use super::balancer::BalancerConfig;
use super::endpoint::{Endpoint, Suspension};
use super::endpoint_list::EndpointList;
use crate::value::Name;

/// Endpoints of an upstream, by the state that they are in.
const ENDPOINTS: &str = "outrigger_upstream_endpoints";

/// An upstream, as `GET /upstreams/{name}` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    pub name: String,
    pub in_flight: usize,
    pub max_in_flight: usize,
    pub balancer: BalancerConfig,
    pub endpoints: Vec<EndpointDescription>,
}

/// An endpoint, as the admin API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointDescription {
    pub name: String,
    pub address: String,
    pub weight: u32,
    pub state: State,
    pub in_flight: usize,
    /// Moving average of the time to the response head; None when no request came lately.
    pub latency_seconds: Option<f64>,
    pub connections: Connections,
}

/// How many connections there are to an endpoint, and how many of them have nothing to do.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Connections {
    pub open: usize,
    pub idle: usize,
}

/// Whether an endpoint takes requests, and why not.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Available,
    Unhealthy,
    Ejected,
}

impl State {
    fn of(endpoint: &Endpoint) -> Self {
        if endpoint.is_suspended(Suspension::Unhealthy) {
            State::Unhealthy
        } else if endpoint.is_suspended(Suspension::Ejected) {
            State::Ejected
        } else {
            State::Available
        }
    }
}

/// Describes the endpoints of `list`.
pub fn endpoints(list: &EndpointList) -> Vec<EndpointDescription> {
    let now = Instant::now();
    list.entries()
        .iter()
        .map(|entry| EndpointDescription::of(&entry.endpoint, entry.weight, now))
        .collect()
}

impl EndpointDescription {
    fn of(endpoint: &Endpoint, weight: u32, now: Instant) -> Self {
        let (open, idle) = endpoint.connections();
        EndpointDescription {
            name: endpoint.name.to_string(),
            address: endpoint.address.to_string(),
            weight,
            state: State::of(endpoint),
            in_flight: endpoint.load.in_flight(),
            latency_seconds: endpoint.load.latency(now).map(|l| l.as_secs_f64()),
            connections: Connections { open, idle },
        }
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
        let endpoints =
            |state| metrics::gauge!(ENDPOINTS, "upstream" => upstream.shared(), "state" => state);
        Gauges {
            available: endpoints("available"),
            unhealthy: endpoints("unhealthy"),
            ejected: endpoints("ejected"),
        }
    }

    /// Counts the endpoints of `list`.
    pub fn set(&self, list: &EndpointList) {
        let gauges = [
            (State::Available, &self.available),
            (State::Unhealthy, &self.unhealthy),
            (State::Ejected, &self.ejected),
        ];
        for (state, gauge) in gauges {
            let endpoints = list.entries().iter();
            let count = endpoints
                .filter(|e| State::of(&e.endpoint) == state)
                .count();
            gauge.set(count as f64);
        }
    }
}
