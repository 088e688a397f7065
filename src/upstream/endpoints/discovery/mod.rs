//! From configured endpoints to addresses, and after them as they change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::address::Address;
use super::destination::{Destination, Discovery};
use super::entry::EndpointConfig;
use super::knowledge::Knowledge;
use super::resolution::{Resolution, resolve};
use super::set::{EndpointSet, Resolved};
use super::transport::Transport;
use crate::net::backoff::{Backoff, Jitter};
use crate::net::resolve::{Failure, Resolve};
use crate::value::Name;

/// A name is asked for again after its TTL, but neither sooner nor later than this.
const MIN_TTL: Duration = Duration::from_secs(5);
const MAX_TTL: Duration = Duration::from_secs(60);

/// After a failure.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(16),
    jitter: Jitter::Half,
};

/// What follows the names of an upstream for as long as it exists.
pub struct Follower<T: Transport> {
    endpoints: Vec<EndpointConfig>,
    discovery: Discovery,
    inner: Arc<Inner<T>>,
    tasks: Vec<AbortHandle>,
}

struct Inner<T: Transport> {
    upstream: Name,
    set: EndpointSet<T>,
    /// Endpoints of an earlier config serve at first.
    seeded: bool,
    sources: Mutex<Vec<Source>>,
}

/// An entry of `endpoints`, and where it led last.
struct Source {
    destination: Destination,
    weight: u32,
    /// The last good answer; its weights are within this source. None until there was one.
    answer: Option<Vec<Resolved>>,
    /// What that answer was made of.
    knowledge: Knowledge,
    /// Whether it was resolved once, well or badly.
    tried: bool,
}

impl<T: Transport> Follower<T> {
    /// Follows `endpoints`. What `old` knows serves until it is known better. Must be called within a runtime; the
    /// tasks end with the follower.
    pub fn start(
        upstream: &Name,
        endpoints: &[EndpointConfig],
        discovery: Discovery,
        old: Option<&Follower<T>>,
        resolver: &Arc<dyn Resolve>,
    ) -> Self {
        let list = old.map(|old| old.set().load_full()).unwrap_or_default();
        let sources = sources(upstream, endpoints, discovery, old);
        let names: Vec<(usize, Destination)> = sources
            .iter()
            .enumerate()
            .filter(|(_, source)| !source.tried)
            .map(|(place, source)| (place, source.destination.clone()))
            .collect();
        let inner = Arc::new(Inner {
            upstream: upstream.clone(),
            seeded: !list.entries().is_empty(),
            set: EndpointSet::new(list),
            sources: Mutex::new(sources),
        });
        inner.publish(|_| ());
        let tasks = names
            .into_iter()
            .map(|(place, destination)| {
                let task = follow(inner.clone(), place, destination, resolver.clone());
                tokio::spawn(task).abort_handle()
            })
            .collect();
        Follower {
            endpoints: endpoints.to_vec(),
            discovery,
            inner,
            tasks,
        }
    }

    /// Whether it follows exactly these already.
    pub fn follows(&self, endpoints: &[EndpointConfig], discovery: Discovery) -> bool {
        self.endpoints == endpoints && self.discovery == discovery
    }

    pub fn set(&self) -> &EndpointSet<T> {
        &self.inner.set
    }
}

impl<T: Transport> Drop for Follower<T> {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn sources<T: Transport>(
    upstream: &Name,
    endpoints: &[EndpointConfig],
    discovery: Discovery,
    old: Option<&Follower<T>>,
) -> Vec<Source> {
    let known = old.map(|old| old.inner.sources());
    let last = |destination: &Destination| {
        let mut known = known.iter().flat_map(|sources| sources.iter());
        let source = known.find(|s| s.destination == *destination)?;
        Some((source.answer.clone(), source.knowledge.clone()))
    };
    let source = |entry: &EndpointConfig| {
        let destination = entry
            .destination(discovery)
            // A config that was checked has no such entry.
            .inspect_err(|error| tracing::error!(upstream = upstream.as_str(), "{error}"))
            .ok()?;
        let fixed = match &destination {
            Destination::Ip(address) => Some(Address::Tcp(*address)),
            Destination::Unix(path) => Some(Address::Unix(path.clone())),
            Destination::Host { .. } | Destination::Service(_) => None,
        };
        let tried = fixed.is_some();
        let (answer, knowledge) = match fixed {
            Some(address) => {
                let answer = vec![Resolved::new(address, destination.host_header(), 1)];
                (Some(answer), Knowledge::default())
            }
            None => last(&destination).unwrap_or_default(),
        };
        Some(Source {
            destination,
            weight: entry.weight,
            answer,
            knowledge,
            tried,
        })
    };
    endpoints.iter().filter_map(source).collect()
}

impl<T: Transport> Inner<T> {
    /// Changes the sources, and the endpoints with them.
    fn publish<R>(&self, change: impl FnOnce(&mut Vec<Source>) -> R) -> R {
        let mut sources = self.sources();
        let result = change(&mut sources);
        let resolved: Vec<Resolved> = sources.iter().flat_map(Source::resolved).collect();
        // Endpoints of an earlier config stay until every new name had its chance, and while none is known.
        let all_had = |chance: fn(&Source) -> bool| sources.iter().all(chance);
        if !resolved.is_empty() && (!self.seeded || all_had(|s| s.tried || s.answer.is_some())) {
            self.set.update(&resolved);
        }
        if all_had(|source| source.tried) {
            self.set.settle();
        }
        result
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn succeed(&mut self, answer: Vec<Resolved>, knowledge: Knowledge) {
        self.tried = true;
        self.answer = Some(answer);
        self.knowledge = knowledge;
    }

    /// Keeps the last good answer; says whether there is one.
    fn fail(&mut self) -> bool {
        self.tried = true;
        self.answer.is_some()
    }

    fn resolved(&self) -> impl Iterator<Item = Resolved> {
        let weight = self.weight;
        self.answer.iter().flatten().map(move |resolved| Resolved {
            weight: resolved.weight.saturating_mul(weight),
            ..resolved.clone()
        })
    }
}

/// Resolves one name again and again.
async fn follow<T: Transport>(
    inner: Arc<Inner<T>>,
    place: usize,
    destination: Destination,
    resolver: Arc<dyn Resolve>,
) {
    let mut failures = 0;
    loop {
        let mut knowledge = inner.sources()[place].knowledge.clone();
        let wait = match resolve(&destination, &*resolver, &mut knowledge).await {
            Ok(Resolution {
                records,
                ttl,
                failure,
            }) => {
                inner.publish(|sources| sources[place].succeed(records, knowledge));
                let lasts = ttl.clamp(MIN_TTL, MAX_TTL);
                match failure {
                    None => {
                        if failures > 0 {
                            let upstream = inner.upstream.as_str();
                            tracing::info!(upstream, "{destination} resolves again");
                        }
                        failures = 0;
                        lasts
                    }
                    Some(failure) => {
                        failures += 1;
                        report(&inner.upstream, &destination, &failure, failures, IN_PART);
                        BACKOFF.after(failures - 1).min(lasts)
                    }
                }
            }
            Err(failure) => {
                let known = inner.publish(|sources| sources[place].fail());
                failures += 1;
                let meanwhile = if known { LAST_STAY } else { NONE };
                report(&inner.upstream, &destination, &failure, failures, meanwhile);
                BACKOFF.after(failures - 1)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// What a failure means for requests.
const IN_PART: &str = "the rest of its addresses is in use, with what was known of this part";
const LAST_STAY: &str = "its last addresses stay in use";
const NONE: &str = "it has no addresses";

/// Warns once for each row of failures: the proxy asks often.
fn report(
    upstream: &Name,
    destination: &Destination,
    failure: &Failure,
    failures: u32,
    meanwhile: &str,
) {
    let upstream = upstream.as_str();
    let how = if meanwhile == IN_PART {
        "resolves only in part"
    } else {
        "does not resolve"
    };
    match failures {
        1 => tracing::warn!(upstream, "{destination} {how}: {failure}; {meanwhile}"),
        _ => tracing::debug!(upstream, failures, "{destination} {how}: {failure}"),
    }
}

#[cfg(test)]
mod tests;
