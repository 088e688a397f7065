//! `[upstreams.*]`: the groups of endpoints that requests go to.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

mod attempt;
mod balance;
mod checked;
mod endpoints;
mod exchange;
#[cfg(test)]
mod fake;
mod health;
mod metrics;
mod original;
mod pick;
mod report;
mod through;
mod traffic;
mod transport;

pub use balance::admission::Admission;
pub use balance::balancer::BalancerConfig;
pub use balance::picker::Availability;
pub use checked::Checked;
pub use endpoints::address::Address;
pub use endpoints::destination::Discovery;
pub use endpoints::entry::EndpointConfig;
pub use exchange::{Resend, Sending};
pub use health::checker::HealthConfig;
pub use health::outlier::OutlierConfig;
pub use metrics::DURATION as REQUEST_DURATION;
pub use original::{NOT_REDIRECTED, ORIGINAL_DESTINATION};
pub use pick::Leaning;
pub use report::{EndpointDescription, render_health, render_traffic};
pub use through::{Held, Through};
pub use transport::settings::{PoolConfig, Protocol};

use crate::http::error::{Error, TLS_FAILED};
use crate::net::resolve::Resolve;
use crate::tls;
use crate::tls::outbound::Client;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::{Duration, Name, Toggle};
use balance::admission::InFlight;
use balance::picker::{Limits, Picker};
use endpoints::entry::MAX_WEIGHT;
use endpoints::{discovery, endpoint, list};
use health::checker;
use metrics::UpstreamMetrics;
use original::Original;
use report::{Description, Gauges};
use transport::http::Http;

/// An endpoint that HTTP is spoken to, and what has to do with it.
pub type Endpoint = endpoint::Endpoint<Http>;
pub type LoadGuard = balance::load_guard::LoadGuard<Http>;
type EndpointList = list::EndpointList<Http>;
type Listed = list::Listed<Http>;
type Follower = discovery::Follower<Http>;
type Checker = checker::Checker<Http>;

/// What is counted of upstreams.
pub const METRICS: &[Metric] = &[
    metrics::REQUESTS,
    metrics::DURATION,
    metrics::CONNECTIONS,
    metrics::CONNECTS,
    metrics::PANICS,
    report::ENDPOINTS,
    report::HEALTHY,
    traffic::REQUESTS,
    health::outlier::EJECTIONS,
    checker::CHECKS,
];

/// `[upstreams.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `"host:port"`, or `{ address = "host:port", weight = 2 }`. A host name stands for all its addresses.
    pub endpoints: Vec<EndpointConfig>,
    /// How names become addresses.
    #[serde(default)]
    pub discovery: Discovery,
    /// What is spoken to the endpoints.
    #[serde(default)]
    pub protocol: Protocol,
    /// How an endpoint is picked.
    #[serde(default)]
    pub balancer: BalancerConfig,
    /// The longest that connecting may take, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: Duration,
    /// Present, TLS is spoken to the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<tls::outbound::Config>,
    /// Connections to each endpoint.
    #[serde(default)]
    pub pool: PoolConfig,
    /// Ask each endpoint again and again whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthConfig>,
    /// When an endpoint that fails is left out for a time; `false`: never.
    #[serde(default = "health::outlier::by_default")]
    pub outlier_detection: Toggle<OutlierConfig>,
    /// How long an endpoint that is new beside others, or is back, takes to get its whole share of requests.
    #[serde(default = "slow_start")]
    pub slow_start: Duration,
    /// Requests at once; more are refused at once with `overloaded`.
    #[serde(default = "max_in_flight")]
    pub max_in_flight: usize,
}

impl Config {
    /// What deserializing alone cannot see.
    pub fn check(&self, problems: &mut Problems) {
        if self.endpoints.is_empty() {
            problems
                .error(&["endpoints"], "an upstream needs at least one endpoint")
                .help("name one, like `endpoints = [\"127.0.0.1:8080\"]`");
        }
        let mut first: HashMap<&str, String> = HashMap::new();
        for (place, entry) in self.endpoints.iter().enumerate() {
            let place = place.to_string();
            let at = ["endpoints", &place];
            if let Err(wrong) = entry.destination(self.discovery) {
                problems.wrong(&at, wrong);
            }
            if !(1..=MAX_WEIGHT).contains(&entry.weight) {
                let at = ["endpoints", &place, "weight"];
                problems.error(&at, format!("must be from 1 to {}", MAX_WEIGHT));
            }
            if let Some(first) = first.get(entry.address.as_str()) {
                problems
                    .error(&at, format!("`{}` is named twice", entry.address))
                    .help("name it once, with a weight")
                    .related(&["endpoints", first], "first here");
            } else {
                first.insert(entry.address.as_str(), place);
            }
        }
        if let Some(tls) = &self.tls {
            problems.within(&["tls"], |problems| tls.check(problems));
        }
        if self.connect_timeout.0.is_zero() {
            problems.error(&["connect_timeout"], "must be longer than 0");
        }
        for (key, limit) in [
            ("max_connections", self.pool.max_connections),
            ("max_pending", self.pool.max_pending),
        ] {
            if limit == 0 {
                problems.error(&["pool", key], "must be at least 1");
            }
        }
        if self.max_in_flight == 0 {
            problems.error(&["max_in_flight"], "must be at least 1");
        }
        if let Some(health) = &self.health_check {
            problems.within(&["health_check"], |problems| {
                health.check(self.protocol, problems);
            });
        }
        if let Some(outlier) = self.outlier_detection.on() {
            problems.within(&["outlier_detection"], |problems| outlier.check(problems));
        }
    }
}

impl Config {
    fn limits(&self) -> Limits {
        Limits {
            health_checks: self.health_check.is_some(),
            outliers: self.outlier_detection.on().cloned(),
            slow_start: self.slow_start.0,
        }
    }
}

fn connect_timeout() -> Duration {
    Duration::from_secs(1)
}

fn slow_start() -> Duration {
    Duration::from_secs(0)
}

fn max_in_flight() -> usize {
    1024
}

/// A named group of endpoints: this config's limits over facts that outlive it.
pub struct Upstream {
    name: Arc<str>,
    config: Config,
    picker: Picker,
    follower: Arc<Follower>,
    checker: Option<Arc<Checker>>,
    /// How TLS is spoken; none without it.
    client: Option<Arc<Client>>,
    in_flight: Arc<InFlight>,
    /// Its endpoints are where callers wanted to go.
    original: Option<Original>,
    metrics: UpstreamMetrics,
    gauges: Gauges,
}

impl Upstream {
    /// The upstream by this config, with the facts of `old`: the upstream of the same name before the reload. `old`
    /// is not disturbed, so the result may be thrown away. Must be called within a runtime that lives as long: it
    /// resolves names there.
    pub fn next(
        name: &Name,
        checked: &Checked,
        old: Option<&Arc<Upstream>>,
        resolver: &Arc<dyn Resolve>,
    ) -> Arc<Upstream> {
        Self::make(name, checked, old, resolver, None)
    }

    fn make(
        name: &Name,
        checked: &Checked,
        old: Option<&Arc<Upstream>>,
        resolver: &Arc<dyn Resolve>,
        original: Option<Original>,
    ) -> Arc<Upstream> {
        let config = &checked.config;
        let (endpoints, discovery) = (&config.endpoints, config.discovery);
        let follower = match old {
            Some(old) if old.follower.follows(endpoints, discovery) => old.follower.clone(),
            old => {
                let old = old.map(|old| &*old.follower);
                Arc::new(Follower::start(name, endpoints, discovery, old, resolver))
            }
        };
        let client = checked.client(old.and_then(|old| old.client.as_ref()));
        let old_checker = old.and_then(|old| old.checker.as_ref());
        let checker = Checker::next(
            name.as_str(),
            config.health_check.as_ref(),
            config.protocol,
            client.as_ref(),
            &follower,
            old_checker,
        );
        let shared = name.shared();
        Arc::new(Upstream {
            checker,
            client,
            config: config.clone(),
            picker: Picker::next(
                &shared,
                config.balancer.clone(),
                config.limits(),
                old.map(|old| &old.picker),
            ),
            follower,
            in_flight: old.map(|old| old.in_flight.clone()).unwrap_or_default(),
            metrics: UpstreamMetrics::new(name.as_str()),
            gauges: Gauges::new(name),
            original,
            name: shared,
        })
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn protocol(&self) -> Protocol {
        self.config.protocol
    }

    fn is_secure(&self) -> bool {
        self.config.tls.is_some()
    }

    /// How TLS is spoken, if it is.
    fn client(&self) -> Result<Option<&Arc<Client>>, Error> {
        match (&self.config.tls, &self.client) {
            // Never in the clear instead.
            (Some(_), None) => Err(Error::new(TLS_FAILED, "TLS to the upstream is not set up")),
            (_, client) => Ok(client.as_ref()),
        }
    }

    pub fn connect_timeout(&self) -> std::time::Duration {
        self.config.connect_timeout.0
    }

    pub fn pool_limits(&self) -> &PoolConfig {
        &self.config.pool
    }

    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.metrics
    }

    /// Whether [`Upstream::ready`] would be over at once, as it is nearly always.
    pub fn is_ready(&self) -> bool {
        self.follower.set().is_ready()
    }

    /// Waits until the endpoints are known, or it is known that none is for now.
    pub async fn ready(&self) {
        self.follower.set().ready().await;
    }

    /// Lets a request in. The admission is to be held to the end of the exchange.
    ///
    /// # Errors
    /// `overloaded` when `max_in_flight` requests are in.
    pub fn admit(&self) -> Result<Admission, Error> {
        self.in_flight.admit(self.config.max_in_flight)
    }

    /// What is known here, and whether the upstream of the next config goes on with it.
    pub fn fates(&self, next: &Upstream) -> [(&'static str, bool); 3] {
        let same = |a: &Option<Arc<Client>>, b: &Option<Arc<Client>>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let checks = match (&self.checker, &next.checker) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        [
            (
                "connections",
                same(&self.client, &next.client) && self.config.protocol == next.config.protocol,
            ),
            ("health checks", checks),
            ("ejections", self.picker.ejects_with(&next.picker)),
        ]
    }

    /// Ends what would go on beside `next`, the upstream of the config that serves now: a request may hold this one
    /// for long.
    pub fn superseded_by(&self, next: Option<&Arc<Upstream>>) {
        let next = next.and_then(|next| next.checker.as_ref());
        if let Some(checker) = &self.checker
            && !next.is_some_and(|next| Arc::ptr_eq(next, checker))
        {
            checker.stop();
        }
    }

    /// Closes the connections of this worker that were idle for too long, or are too old.
    pub fn sweep(&self) {
        for entry in self.follower.set().load_full().entries() {
            let (limits, client) = (&self.config.pool, self.client.as_ref());
            entry.endpoint.transport.sweep(limits, client);
        }
        if let Some(original) = &self.original {
            self.forget_unused(original);
        }
    }

    /// How each endpoint is, as the admin API shows it.
    pub fn endpoints(&self) -> Vec<EndpointDescription> {
        report::endpoints(self, &self.follower.set().load_full())
    }

    /// What the admin API shows.
    pub fn describe(&self) -> serde_json::Value {
        let endpoints = self.endpoints();
        let description = Description {
            name: self.name.to_string(),
            in_flight: self.in_flight.count(),
            max_in_flight: self.config.max_in_flight,
            balancer: self.config.balancer.clone(),
            last_error: report::newest_error(&endpoints),
            endpoints,
        };
        // Nothing in it can fail to be written as JSON.
        serde_json::to_value(description).unwrap_or_default()
    }

    /// Sets the gauges to what is true now. To be called for the upstreams of the config that serves, before the
    /// metrics are rendered: an earlier config may live on for as long as a request of it does.
    pub fn set_gauges(&self) {
        let list = self.follower.set().load_full();
        self.gauges.set(self, &list);
        let mut connections = (0, 0);
        for entry in list.entries() {
            let (open, idle) = entry.endpoint.connections();
            connections = (connections.0 + open, connections.1 + idle);
        }
        self.metrics.connections(connections.0, connections.1);
    }
}

#[cfg(test)]
mod tests;
