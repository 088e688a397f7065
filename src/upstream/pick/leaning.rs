//! To which endpoint a request would go now. Nothing is changed by asking.

use tokio::time::Instant;

use crate::http::error::{Error, NO_HEALTHY_ENDPOINT, OVERLOADED};
use crate::http::message::Request;
use crate::http::rendezvous;
use crate::upstream::balance::balancer::BalancerConfig;
use crate::upstream::balance::picker::Availability;
use crate::upstream::{Listed, Upstream};

/// The endpoint that the balancer leans to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaning {
    /// Its address, and its name; None: any may be drawn.
    pub endpoint: Option<(String, String)>,
    /// How many may take the request.
    pub of: usize,
    /// None was to take requests, and one has to all the same.
    pub in_panic: bool,
}

impl Upstream {
    /// # Errors
    /// `overloaded` and `no_healthy_endpoint`, as a request would meet them now; of original destinations what
    /// [`Upstream::pick`] says where there is none.
    pub fn leaning(&self, request: &Request) -> Result<Leaning, Error> {
        let now = Instant::now();
        if self.in_flight.count() >= self.config.max_in_flight {
            return Err(Error::new(
                OVERLOADED,
                "the upstream has as many requests in flight as it may",
            ));
        }
        if let Some(original) = &self.original {
            let address = self.wanted_address(original, request)?.to_string();
            return Ok(Leaning {
                endpoint: Some((address.clone(), address)),
                of: 1,
                in_panic: false,
            });
        }
        let list = self.follower.set().load_full();
        let standing = |entry: &Listed| self.picker.availability(&entry.endpoint, now);
        let best = (list.entries().iter()).map(standing).min_by_key(rank);
        let Some(best) = best else {
            return Err(Error::new(
                NO_HEALTHY_ENDPOINT,
                "the upstream has no endpoint",
            ));
        };
        let usable = |entry: &Listed| standing(entry) == best;
        let key = match &self.config.balancer {
            BalancerConfig::Hash(key) => key.of(request, rendezvous::hash),
            _ => None,
        };
        let leans_to = self.picker.leaning(&list, key, now, usable);
        Ok(Leaning {
            endpoint: leans_to.map(|endpoint| {
                let name = endpoint.name.to_string();
                (endpoint.address.to_string(), name)
            }),
            of: list.entries().iter().filter(|entry| usable(entry)).count(),
            in_panic: best != Availability::Available,
        })
    }
}

/// Which are asked first where there is nothing better.
fn rank(availability: &Availability) -> u8 {
    match availability {
        Availability::Available => 0,
        Availability::Ejected => 1,
        Availability::Unhealthy => 2,
    }
}
