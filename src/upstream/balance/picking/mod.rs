//! Which endpoints may take a request now, and what happens when none may.
//!
//! An endpoint is left out while its health check fails and while it is ejected. When that leaves none, requests
//! go to those anyway, ejected ones before unhealthy ones: whoever refuses everything while something might work
//! only adds to the outage. Such picks are counted.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::balancer::BalancerConfig;
use crate::http::error::{Error, NO_HEALTHY_ENDPOINT};
use crate::http::message::Request;
use crate::net::timer;
use crate::upstream::health::standing::{Mark, Marks};
use crate::upstream::{Endpoint, EndpointList, Listed, LoadGuard, Upstream};

/// The least share of its requests that an endpoint gets while it warms up.
const LEAST_SHARE: f32 = 0.1;

/// How much is put up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tolerance {
    /// Only endpoints that may serve, this request has not been to, and that are warm, as far as chance says.
    Strict,
    /// Any that may serve.
    Used,
    /// Also those that are ejected.
    Ejected,
    /// All.
    All,
}

/// Whether an endpoint takes requests, and why not.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Available,
    Unhealthy,
    Ejected,
}

/// Says of endpoints whether they may take a request.
struct Judge<'a> {
    upstream: &'a Upstream,
    list: &'a EndpointList,
    avoid: Option<&'a Endpoint>,
    request: &'a Request,
    tolerance: Tolerance,
    now: Instant,
}

impl Upstream {
    /// Picks the endpoint for `request`, another than `avoid` and than those it has been to, where there is one.
    ///
    /// # Errors
    /// `no_healthy_endpoint` when there is none at all.
    pub fn pick(
        &self,
        request: &Request,
        avoid: Option<&Endpoint>,
    ) -> Result<(Arc<Endpoint>, LoadGuard), Error> {
        let now = timer::now();
        let key = match &self.config.balancer {
            BalancerConfig::Hash(key) => key.of(request),
            _ => None,
        };
        let list = self.follower.set().load();
        let mut judge = Judge {
            upstream: self,
            list: &list,
            avoid,
            request,
            tolerance: Tolerance::Strict,
            now,
        };
        let mut pick = |tolerance| {
            judge.tolerance = tolerance;
            self.balancer
                .pick(&list, key, now, |entry| judge.admits(entry))
        };
        let picked = pick(Tolerance::Strict).or_else(|| pick(Tolerance::Used));
        let picked = picked.or_else(|| {
            let picked = pick(Tolerance::Ejected).or_else(|| pick(Tolerance::All));
            self.metrics.panicked(picked.is_some());
            picked
        });
        let Some(endpoint) = picked else {
            return Err(
                Error::new(NO_HEALTHY_ENDPOINT, "the upstream has no endpoint")
                    .because(format!("upstream `{}` has no addresses", self.name)),
            );
        };
        if let Some(tried) = &request.context.tried {
            tried.note(endpoint.hash);
        }
        let guard = LoadGuard::new(endpoint.clone(), now);
        Ok((endpoint.clone(), guard))
    }

    /// Whether a request that failed at one endpoint could be sent to another.
    pub fn has_alternative(&self) -> bool {
        let (list, now) = (self.follower.set().load(), timer::now());
        let states = list.entries().iter().map(|e| self.state(&e.endpoint, now));
        states.filter(|s| *s == State::Available).nth(1).is_some()
    }

    /// How things stand with an endpoint, by this config.
    pub fn state(&self, endpoint: &Endpoint, now: Instant) -> State {
        let marks = endpoint.standing.marks();
        if self.is_unhealthy(marks) {
            State::Unhealthy
        } else if marks.has(Mark::Ejected) && self.is_ejected(endpoint, now) {
            State::Ejected
        } else {
            State::Available
        }
    }

    fn is_unhealthy(&self, marks: Marks) -> bool {
        marks.has(Mark::Unhealthy) && self.config.health_check.is_some()
    }

    /// Whether an ejection still holds by the limits of this config.
    fn is_ejected(&self, endpoint: &Endpoint, now: Instant) -> bool {
        let standing = &endpoint.standing;
        self.config
            .outlier_detection
            .on()
            .is_some_and(|config| standing.ejected_for(now) < config.length(standing.ejections()))
    }
}

impl Judge<'_> {
    fn admits(&self, entry: &Listed) -> bool {
        let endpoint = &*entry.endpoint;
        let marks = endpoint.standing.marks();
        (marks.none() || self.admits_marked(endpoint, marks)) && !self.avoids(endpoint)
    }

    fn avoids(&self, endpoint: &Endpoint) -> bool {
        let been_there = |endpoint: &Endpoint| {
            let tried = self.request.context.tried.as_ref();
            self.avoid
                .is_some_and(|avoid| std::ptr::eq(avoid, endpoint))
                || tried.is_some_and(|tried| tried.has(endpoint.hash))
        };
        self.tolerance == Tolerance::Strict && been_there(endpoint)
    }

    #[cold]
    fn admits_marked(&self, endpoint: &Endpoint, marks: Marks) -> bool {
        if self.upstream.is_unhealthy(marks) && self.tolerance < Tolerance::All {
            return false;
        }
        if self.tolerance > Tolerance::Used {
            return true;
        }
        if marks.has(Mark::Ejected) && self.is_out(endpoint) {
            return false;
        }
        let standing = &endpoint.standing;
        let outlier = self.upstream.config.outlier_detection.on();
        if let Some(config) = outlier.filter(|_| marks.has(Mark::Failing))
            && (self.upstream.ejector).eject(config, self.list, endpoint, self.now)
        {
            return false;
        }
        // One request at a time, until it has shown that it answers again.
        if outlier.is_some() && standing.marks().has(Mark::OnTrial) && endpoint.load.in_flight() > 0
        {
            return false;
        }
        self.tolerance > Tolerance::Strict
            || !marks.has(Mark::Warming)
            || self.is_warm_enough(endpoint)
    }

    /// Whether an ejected endpoint has to stay out. It is let in by whoever first sees that its time is over.
    fn is_out(&self, endpoint: &Endpoint) -> bool {
        if self.upstream.is_ejected(endpoint, self.now) {
            return true;
        }
        if endpoint.standing.readmit(self.now) {
            // What it was like before its ejection must not keep it from being tried.
            endpoint.load.forget();
            let upstream = &*self.upstream.name;
            let endpoint = &*endpoint.shown;
            tracing::info!(upstream, endpoint, "an ejected endpoint is on trial");
        }
        false
    }

    /// Draws whether an endpoint that warms up takes its turn: the chance grows from [`LEAST_SHARE`] to all over the
    /// length of `slow_start`. A caller who is kept with an endpoint by hash draws the same each time.
    fn is_warm_enough(&self, endpoint: &Endpoint) -> bool {
        let length = self.upstream.config.slow_start.0;
        let elapsed = endpoint.standing.in_service_for(self.now);
        if elapsed >= length {
            endpoint.standing.unmark(Mark::Warming);
            return true;
        }
        self.chance(endpoint) < share(elapsed, length)
    }

    fn chance(&self, endpoint: &Endpoint) -> f32 {
        match &self.upstream.config.balancer {
            BalancerConfig::Hash(key) => match key.of(self.request) {
                Some(key) => {
                    let drawn = super::hash_key::mix(key ^ endpoint.hash.rotate_left(32));
                    (drawn >> 40) as f32 / (1u32 << 24) as f32
                }
                None => fastrand::f32(),
            },
            _ => fastrand::f32(),
        }
    }
}

fn share(elapsed: Duration, length: Duration) -> f32 {
    (elapsed.as_secs_f32() / length.as_secs_f32()).max(LEAST_SHARE)
}

#[cfg(test)]
mod tests;
