//! Which endpoints may take a request now, and what happens when none may.
//!
//! An endpoint is left out while its health check fails and while it is ejected. When that leaves none, requests
//! go to those anyway, ejected ones before unhealthy ones: whoever refuses everything while something might work
//! only adds to the outage. Such picks are counted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::balancer::{Balancer, BalancerConfig};
use crate::http::rendezvous;
use crate::upstream::endpoints::endpoint::Endpoint;
use crate::upstream::endpoints::list::{EndpointList, Listed};
use crate::upstream::endpoints::transport::Transport;
use crate::upstream::health::outlier::{Ejector, OutlierConfig};
use crate::upstream::health::standing::{Mark, Marks};

/// The least share of its requests that an endpoint gets while it warms up.
const LEAST_SHARE: f32 = 0.1;

/// Picks endpoints by the limits of one config, whatever is spoken to them.
pub struct Picker {
    upstream: Arc<str>,
    balancer: Balancer,
    limits: Limits,
    ejector: Arc<Ejector>,
}

/// By what a config leaves endpoints out, or spares them.
pub struct Limits {
    /// Whether health checks count.
    pub health_checks: bool,
    pub outliers: Option<OutlierConfig>,
    pub slow_start: Duration,
}

/// The endpoint that takes a request.
pub struct Picked<'l, T> {
    pub endpoint: &'l Arc<Endpoint<T>>,
    /// None was to take requests, and this one has to all the same.
    pub in_panic: bool,
}

/// Whether an endpoint takes requests, and why not.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    Available,
    Unhealthy,
    Ejected,
}

impl Picker {
    /// Goes on ejecting where the picker of an earlier config is.
    pub fn next(
        upstream: &Arc<str>,
        balancer: BalancerConfig,
        limits: Limits,
        old: Option<&Picker>,
    ) -> Self {
        Picker {
            upstream: upstream.clone(),
            balancer: Balancer::new(balancer),
            limits,
            ejector: match old {
                Some(old) => old.ejector.clone(),
                None => Arc::new(Ejector::new(upstream)),
            },
        }
    }

    /// Whether both go by the same record of failures.
    pub fn ejects_with(&self, other: &Picker) -> bool {
        Arc::ptr_eq(&self.ejector, &other.ejector)
    }

    /// An endpoint of `list`, another than those where the request `has_been`, where there is one; None when there is
    /// none at all. `key` is what keeps a caller with an endpoint, when the balancer hashes.
    pub fn pick<'l, T: Transport>(
        &self,
        list: &'l EndpointList<T>,
        key: Option<u64>,
        now: Instant,
        has_been: impl Fn(&Endpoint<T>) -> bool,
    ) -> Option<Picked<'l, T>> {
        let mut eligibility = Eligibility {
            picker: self,
            list,
            key,
            now,
            has_been,
            tolerance: Tolerance::Strict,
        };
        let mut pick = |tolerance| {
            eligibility.tolerance = tolerance;
            self.balancer
                .pick(list, key, now, |entry| eligibility.covers(entry))
        };
        let picked = pick(Tolerance::Strict).or_else(|| pick(Tolerance::Used));
        let in_panic = picked.is_none();
        let picked = picked.or_else(|| pick(Tolerance::Ejected).or_else(|| pick(Tolerance::All)));
        picked.map(|endpoint| Picked { endpoint, in_panic })
    }

    /// The endpoint that is preferred among those for which `usable` holds, if one is. Nothing is changed by asking.
    pub fn leaning<'l, T: Transport>(
        &self,
        list: &'l EndpointList<T>,
        key: Option<u64>,
        now: Instant,
        usable: impl Fn(&Listed<T>) -> bool,
    ) -> Option<&'l Arc<Endpoint<T>>> {
        self.balancer.leaning(list, key, now, usable)
    }

    /// How things stand with an endpoint, by this config.
    pub fn availability<T>(&self, endpoint: &Endpoint<T>, now: Instant) -> Availability {
        let marks = endpoint.standing.marks();
        if self.is_unhealthy(marks) {
            Availability::Unhealthy
        } else if marks.has(Mark::Ejected) && self.is_ejected(endpoint, now) {
            Availability::Ejected
        } else {
            Availability::Available
        }
    }

    fn is_unhealthy(&self, marks: Marks) -> bool {
        marks.has(Mark::Unhealthy) && self.limits.health_checks
    }

    /// Whether an ejection still holds by the limits of this config.
    fn is_ejected<T>(&self, endpoint: &Endpoint<T>, now: Instant) -> bool {
        let standing = &endpoint.standing;
        let outliers = self.limits.outliers.as_ref();
        outliers
            .is_some_and(|config| standing.ejected_for(now) < config.length(standing.ejections()))
    }
}

/// How much is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tolerance {
    /// Only endpoints that may serve, where this request has not been, and that are warm, as far as chance says.
    Strict,
    /// Any that may serve.
    Used,
    /// Also those that are ejected.
    Ejected,
    /// All.
    All,
}

/// Says of endpoints whether they may take one request.
struct Eligibility<'a, T: Transport, B> {
    picker: &'a Picker,
    list: &'a EndpointList<T>,
    key: Option<u64>,
    now: Instant,
    has_been: B,
    tolerance: Tolerance,
}

impl<T: Transport, B: Fn(&Endpoint<T>) -> bool> Eligibility<'_, T, B> {
    fn covers(&self, entry: &Listed<T>) -> bool {
        let endpoint = &*entry.endpoint;
        let marks = endpoint.standing.marks();
        (marks.none() || self.covers_marked(endpoint, marks))
            && !(self.tolerance == Tolerance::Strict && (self.has_been)(endpoint))
    }

    #[cold]
    fn covers_marked(&self, endpoint: &Endpoint<T>, marks: Marks) -> bool {
        if self.picker.is_unhealthy(marks) && self.tolerance < Tolerance::All {
            return false;
        }
        if self.tolerance > Tolerance::Used {
            return true;
        }
        if marks.has(Mark::Ejected) && self.is_out(endpoint) {
            return false;
        }
        let standing = &endpoint.standing;
        let outliers = self.picker.limits.outliers.as_ref();
        if let Some(config) = outliers.filter(|_| marks.has(Mark::Failing))
            && (self.picker.ejector).eject(config, self.list, endpoint, self.now)
        {
            return false;
        }
        // One request at a time, until it has shown that it answers again.
        if outliers.is_some()
            && standing.marks().has(Mark::OnTrial)
            && endpoint.load.in_flight() > 0
        {
            return false;
        }
        self.tolerance > Tolerance::Strict
            || !marks.has(Mark::Warming)
            || self.is_warm_enough(endpoint)
    }

    /// Whether an ejected endpoint has to stay out. It is let in by whoever first sees that its time is over.
    fn is_out(&self, endpoint: &Endpoint<T>) -> bool {
        if self.picker.is_ejected(endpoint, self.now) {
            return true;
        }
        if endpoint.standing.readmit(self.now) {
            // What it was like before its ejection must not keep it from being tried.
            endpoint.load.forget();
            let upstream = &*self.picker.upstream;
            let endpoint = &*endpoint.shown;
            tracing::info!(upstream, endpoint, "an ejected endpoint is on trial");
        }
        false
    }

    /// Draws whether an endpoint that warms up takes its turn: the chance grows from [`LEAST_SHARE`] to all over the
    /// length of `slow_start`. A caller who is kept with an endpoint by hash draws the same each time.
    fn is_warm_enough(&self, endpoint: &Endpoint<T>) -> bool {
        let length = self.picker.limits.slow_start;
        let elapsed = endpoint.standing.in_service_for(self.now);
        if elapsed >= length {
            endpoint.standing.unmark(Mark::Warming);
            return true;
        }
        self.chance(endpoint) < share(elapsed, length)
    }

    fn chance(&self, endpoint: &Endpoint<T>) -> f32 {
        match self.key {
            Some(key) => {
                let drawn = rendezvous::mix(key ^ endpoint.hash.rotate_left(32));
                (drawn >> 40) as f32 / (1u32 << 24) as f32
            }
            None => fastrand::f32(),
        }
    }
}

fn share(elapsed: Duration, length: Duration) -> f32 {
    (elapsed.as_secs_f32() / length.as_secs_f32()).max(LEAST_SHARE)
}
