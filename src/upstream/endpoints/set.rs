//! The endpoints that an upstream has now.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio::time::Instant;

use super::address::Address;
use super::endpoint::Endpoint;
use super::list::{EndpointList, Listed};
use super::transport::Transport;

/// One address that an upstream should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub address: Address,
    pub name: Arc<str>,
    pub weight: u32,
}

impl Resolved {
    pub fn new(address: Address, name: impl Into<Arc<str>>, weight: u32) -> Self {
        Resolved {
            address,
            name: name.into(),
            weight,
        }
    }
}

/// A list of endpoints that is replaced as a whole. Facts of an address that stays survive.
pub struct EndpointSet<T: Transport> {
    list: ArcSwap<EndpointList<T>>,
    settled: watch::Sender<bool>,
    changed: watch::Sender<()>,
}

impl<T: Transport> EndpointSet<T> {
    /// Starts with `list`: what served before, or nothing.
    pub fn new(list: Arc<EndpointList<T>>) -> Self {
        EndpointSet {
            list: ArcSwap::new(list),
            settled: watch::Sender::new(false),
            changed: watch::Sender::new(()),
        }
    }

    /// What to pick from. Not to be held across an `.await`.
    pub fn load(&self) -> Guard<Arc<EndpointList<T>>> {
        self.list.load()
    }

    pub fn load_full(&self) -> Arc<EndpointList<T>> {
        self.list.load_full()
    }

    /// Replaces the list. An address that was there under the same name stays the same endpoint; one that is
    /// named twice gets both weights. One update at a time.
    pub fn update(&self, resolved: &[Resolved]) {
        let old = self.list.load_full();
        let known: HashMap<(&Address, &str), &Arc<Endpoint<T>>> = old
            .entries()
            .iter()
            .map(|entry| {
                let endpoint = &entry.endpoint;
                ((&endpoint.address, &*endpoint.name), endpoint)
            })
            .collect();
        let mut places = HashMap::with_capacity(resolved.len());
        let mut entries: Vec<Listed<T>> = Vec::with_capacity(resolved.len());
        for Resolved {
            address,
            name,
            weight,
        } in resolved
        {
            let place = *places
                .entry((address, &**name))
                .or_insert_with_key(|identity| {
                    let endpoint = match known.get(identity) {
                        Some(endpoint) => Arc::clone(endpoint),
                        None => newcomer(address.clone(), name.clone(), !known.is_empty()),
                    };
                    entries.push(Listed {
                        endpoint,
                        weight: 0,
                    });
                    entries.len() - 1
                });
            let listed = &mut entries[place];
            listed.weight = listed.weight.saturating_add(*weight);
        }
        if entries != old.entries() {
            self.list.store(Arc::new(EndpointList::new(entries)));
            self.changed.send_replace(());
        }
        if !resolved.is_empty() {
            self.settle();
        }
    }

    /// Tells when the list is replaced.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Ends the wait for a first answer, whatever it was.
    pub fn settle(&self) {
        self.settled.send_replace(true);
    }

    /// Whether there are endpoints, or it is known that there are none for now.
    pub fn is_ready(&self) -> bool {
        !self.list.load().entries().is_empty() || *self.settled.borrow()
    }

    /// Waits until [`EndpointSet::is_ready`].
    pub async fn ready(&self) {
        if !self.is_ready() {
            let mut settled = self.settled.subscribe();
            // The sender lives in `self`, so the wait cannot fail.
            let _ = settled.wait_for(|settled| *settled).await;
        }
    }
}

/// A new endpoint; `beside` others it has to warm up, while the first ones of all must bear the load at once.
fn newcomer<T: Transport>(address: Address, name: Arc<str>, beside: bool) -> Arc<Endpoint<T>> {
    let endpoint = Arc::new(Endpoint::new(address, name));
    if beside {
        endpoint.standing.enter_service(Instant::now());
    }
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::transport::http::Http;
    use std::time::Duration;

    fn resolved(last: u8, weight: u32) -> Resolved {
        Resolved::new(
            Address::Tcp(([10, 0, 0, last], 80).into()),
            "app:80",
            weight,
        )
    }

    fn set() -> EndpointSet<Http> {
        EndpointSet::new(Arc::default())
    }

    #[test]
    fn an_address_that_stays_is_the_same_endpoint() {
        let set = set();
        set.update(&[resolved(1, 1), resolved(2, 1)]);
        let before = set.load_full();
        set.update(&[resolved(2, 5), resolved(3, 1)]);
        let after = set.load_full();
        assert!(Arc::ptr_eq(
            &before.entries()[1].endpoint,
            &after.entries()[0].endpoint
        ));
        assert_eq!(after.entries()[0].weight, 5);
    }

    #[test]
    fn an_endpoint_retires_with_the_last_list_that_names_it() {
        let (first, second) = (set(), set());
        first.update(&[resolved(1, 1)]);
        let endpoint = first.load().entries()[0].endpoint.clone();
        let kept = EndpointSet::new(first.load_full());
        first.update(&[]);
        assert!(!endpoint.is_retired());
        second.update(&[resolved(1, 1)]);
        drop(kept);
        assert!(endpoint.is_retired());
    }

    #[test]
    fn one_address_under_two_names_is_two_endpoints_and_twice_the_same_is_one() {
        let set = set();
        let mut other = resolved(1, 1);
        other.name = "api:80".into();
        set.update(&[resolved(1, 1), resolved(1, 2), other]);
        let weights: Vec<u32> = set.load().entries().iter().map(|e| e.weight).collect();
        assert_eq!(weights, [3, 1]);
    }

    #[test]
    fn an_update_that_changes_nothing_keeps_the_list() {
        let set = set();
        set.update(&[resolved(1, 1)]);
        let before = set.load_full();
        set.update(&[resolved(1, 1)]);
        assert!(Arc::ptr_eq(&before, &set.load_full()));
    }

    #[tokio::test(start_paused = true)]
    async fn ready_waits_for_the_first_answer_good_or_bad() {
        let waits = |set: Arc<EndpointSet<Http>>| async move {
            tokio::time::timeout(Duration::from_secs(1), set.ready())
                .await
                .is_err()
        };
        let (good, bad) = (Arc::new(set()), Arc::new(set()));
        assert!(waits(good.clone()).await);
        good.update(&[resolved(1, 1)]);
        assert!(!waits(good).await);
        bad.update(&[]);
        assert!(waits(bad.clone()).await);
        bad.settle();
        assert!(!waits(bad).await);
    }
}
