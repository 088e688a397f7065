//! The endpoint for an HTTP request.

use std::sync::Arc;

use tokio::time::Instant;

mod leaning;

pub use leaning::Leaning;

use super::attempt::{Attempt, AttemptSpan};
use super::balance::balancer::BalancerConfig;
use super::balance::picker::{Availability, Picked};
use super::{Endpoint, LoadGuard, Upstream};
use crate::http::error::{Error, NO_HEALTHY_ENDPOINT};
use crate::http::message::{Request, Tried};
use crate::http::rendezvous;
use crate::net::timer;

impl Upstream {
    /// Picks the endpoint for `request`, another than those that were `tried`, where there is one, and notes it there. With
    /// that an attempt begins.
    ///
    /// # Errors
    /// `no_healthy_endpoint` when there is none at all, and when none is healthy and the request can wait. Of original
    /// destinations `not_redirected`, `loop_detected` and `overloaded`.
    pub fn pick(&self, request: &Request, tried: Option<&Tried>) -> Result<Attempt, Error> {
        let now = timer::now();
        if let Some(original) = &self.original {
            let endpoint = self.wanted(original, request)?;
            return Ok(self.begin(&endpoint, request, tried, now));
        }
        let key = match &self.config.balancer {
            BalancerConfig::Hash(key) => key.of(request, rendezvous::hash),
            _ => None,
        };
        let has_been = |endpoint: &Endpoint| tried.is_some_and(|tried| tried.has(endpoint.hash));
        let list = self.follower.set().load();
        let Some(Picked { endpoint, in_panic }) = self.picker.pick(&list, key, now, has_been)
        else {
            return Err(
                Error::new(NO_HEALTHY_ENDPOINT, "the upstream has no endpoint")
                    .because(format!("upstream `{}` has no addresses", self.name)),
            );
        };
        if in_panic {
            if request.context.can_wait && self.is_unhealthy(endpoint, now) {
                return Err(Error::new(
                    NO_HEALTHY_ENDPOINT,
                    "the upstream has no endpoint that is healthy",
                ));
            }
            self.metrics.panicked();
        }
        Ok(self.begin(endpoint, request, tried, now))
    }

    #[inline(always)]
    fn begin(
        &self,
        endpoint: &Arc<Endpoint>,
        request: &Request,
        tried: Option<&Tried>,
        now: Instant,
    ) -> Attempt {
        if let Some(tried) = tried {
            tried.note(endpoint.hash);
        }
        tracing::debug!(
            upstream = &*self.name,
            endpoint = &*endpoint.shown,
            request_id = request.context.request_id.as_str(),
            nth = tried.map_or(1, Tried::count),
            "an endpoint is picked"
        );
        let span = AttemptSpan::begin(request, self, endpoint, tried);
        let load = LoadGuard::new(endpoint.clone(), now);
        Attempt::new(load, request, span)
    }

    /// Whether a request that failed at one endpoint could be sent to another.
    pub fn has_alternative(&self) -> bool {
        if self.original.is_some() {
            return false;
        }
        let (list, now) = (self.follower.set().load(), timer::now());
        let entries = list.entries().iter();
        let available = entries.filter(|e| self.is_available(&e.endpoint, now));
        available.take(2).count() == 2
    }

    fn is_unhealthy(&self, endpoint: &Endpoint, now: Instant) -> bool {
        self.picker.availability(endpoint, now) == Availability::Unhealthy
    }

    pub(super) fn is_available(&self, endpoint: &Endpoint, now: Instant) -> bool {
        self.picker.availability(endpoint, now) == Availability::Available
    }
}

#[cfg(test)]
mod tests;
