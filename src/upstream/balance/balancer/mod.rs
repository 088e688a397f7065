//! Which endpoint takes the next request.
//!
//! `peak-ewma` and `least-request` draw two endpoints and take the better one: the power of two choices
//! (Mitzenmacher, 2001) comes near the best of all without looking at all, and workers that see the same facts at
//! the same time do not all run to the same endpoint. `hash` is [`rendezvous`] hashing: only the callers of an endpoint
//! that goes move, and those of one that is unavailable spread over the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

mod leaning;

use crate::http::caller_key::CallerKey;
use crate::http::rendezvous::{self, Draw, mix};
use crate::upstream::endpoints::endpoint::Endpoint;
use crate::upstream::endpoints::list::{EndpointList, Listed};
use crate::upstream::endpoints::transport::Transport;

/// `balancer`
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerConfig {
    /// The one that promises the fastest answer, by its latency and what it has to do already.
    #[default]
    PeakEwma,
    /// The one with fewer requests in flight.
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
    /// The same one for the same caller, as long as it is there.
    Hash(CallerKey),
}

/// Picks endpoints.
pub struct Balancer {
    config: BalancerConfig,
    turn: AtomicUsize,
}

impl Balancer {
    pub fn new(config: BalancerConfig) -> Self {
        Balancer {
            config,
            // Sidecars that start together must not all begin with the same endpoint.
            turn: AtomicUsize::new(fastrand::u16(..).into()),
        }
    }

    /// An endpoint of `list` for which `usable` holds. `key` is the hash of what the caller is known by; without one,
    /// hashing picks at random.
    pub fn pick<'a, T: Transport>(
        &self,
        list: &'a EndpointList<T>,
        key: Option<u64>,
        now: Instant,
        usable: impl Fn(&Listed<T>) -> bool,
    ) -> Option<&'a Arc<Endpoint<T>>> {
        if let [only] = list.entries() {
            return usable(only).then_some(&only.endpoint);
        }
        let index = self.pick_from(&Choice { list, usable }, key, now);
        index.map(|index| &list.entries()[index].endpoint)
    }

    fn pick_from<T: Transport>(
        &self,
        choice: &Choice<'_, T, impl Fn(&Listed<T>) -> bool>,
        key: Option<u64>,
        now: Instant,
    ) -> Option<usize> {
        match (&self.config, key) {
            (BalancerConfig::PeakEwma, _) => choice.better_of_two(|list, first, second| {
                let cost = |index: usize| {
                    let load = &list.entries()[index].endpoint.load;
                    load.cost(now, list.share(index))
                };
                // With weights the draw already says who should have the request; latencies that differ by chance
                // must not undo it.
                let margin = if list.is_even() { 1.0 } else { 2.0 };
                cost(second) * margin < cost(first)
            }),
            (BalancerConfig::LeastRequest, _) => choice.better_of_two(|list, first, second| {
                let [first, second] = [first, second].map(|index| &list.entries()[index]);
                let in_flight = |entry: &Listed<T>| entry.endpoint.load.in_flight() as u64;
                in_flight(second) * u64::from(first.weight)
                    < in_flight(first) * u64::from(second.weight)
            }),
            (BalancerConfig::RoundRobin, _) => choice.in_turn(&self.turn),
            (BalancerConfig::Random, _) | (BalancerConfig::Hash(_), None) => choice.draw(),
            (BalancerConfig::Hash(_), Some(key)) => choice.winner(key),
        }
    }
}

/// The entries of a list that may be picked now.
struct Choice<'a, T: Transport, U> {
    list: &'a EndpointList<T>,
    usable: U,
}

impl<T: Transport, U: Fn(&Listed<T>) -> bool> Choice<'_, T, U> {
    /// Draws two by weight. `better(list, first, second)` says whether the second is better.
    fn better_of_two(
        &self,
        better: impl Fn(&EndpointList<T>, usize, usize) -> bool,
    ) -> Option<usize> {
        let first = self.draw()?;
        match self.draw_beside(first) {
            Some(second) if better(self.list, first, second) => Some(second),
            _ => Some(first),
        }
    }

    /// One by weight.
    fn draw(&self) -> Option<usize> {
        if self.list.entries().is_empty() {
            return None;
        }
        // Nearly always every entry is usable, and the first draw hits.
        let index = self.list.at(fastrand::u64(..self.list.total()));
        if self.is_usable(index) {
            Some(index)
        } else {
            self.draw_slowly(None)
        }
    }

    /// One by weight that is not `taken`.
    fn draw_beside(&self, taken: usize) -> Option<usize> {
        let span = self.list.span(taken);
        let others = self.list.total() - (span.end - span.start);
        if others == 0 {
            return None;
        }
        let point = fastrand::u64(..others);
        let point = if point < span.start {
            point
        } else {
            point + (span.end - span.start)
        };
        let index = self.list.at(point);
        if self.is_usable(index) {
            Some(index)
        } else {
            self.draw_slowly(Some(taken))
        }
    }

    /// One by weight, looking at all.
    fn draw_slowly(&self, taken: Option<usize>) -> Option<usize> {
        let candidates = || self.usable().filter(|(index, _)| Some(*index) != taken);
        let total: u64 = candidates().map(|(_, entry)| u64::from(entry.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut point = fastrand::u64(..total);
        for (index, entry) in candidates() {
            match point.checked_sub(entry.weight.into()) {
                None => return Some(index),
                Some(rest) => point = rest,
            }
        }
        // Reached when an endpoint became unavailable since the sum was made.
        candidates().next().map(|(index, _)| index)
    }

    /// The next in turn. A turn that falls on an unusable one is used up, so that its load spreads over all others
    /// and not on its neighbour alone.
    fn in_turn(&self, turn: &AtomicUsize) -> Option<usize> {
        if self.list.entries().is_empty() {
            return None;
        }
        (0..2 * self.list.entries().len())
            .map(|_| self.list.in_turn(turn.fetch_add(1, Ordering::Relaxed)))
            .find(|&index| self.is_usable(index))
            .or_else(|| self.draw_slowly(None))
    }

    /// The one that wins the race of all for `key`.
    fn winner(&self, key: u64) -> Option<usize> {
        let drawn = |entry: &Listed<T>| mix(key ^ entry.endpoint.hash);
        if self.list.is_even() {
            let draws = self.usable().map(|(index, entry)| (drawn(entry), index));
            return rendezvous::even_winner(draws);
        }
        rendezvous::winner(self.usable().map(|(index, entry)| Draw {
            bits: drawn(entry),
            weight: entry.weight,
            what: index,
        }))
    }

    fn is_usable(&self, index: usize) -> bool {
        (self.usable)(&self.list.entries()[index])
    }

    fn usable(&self) -> impl Iterator<Item = (usize, &Listed<T>)> {
        let entries = self.list.entries().iter().enumerate();
        entries.filter(|(_, entry)| (self.usable)(entry))
    }
}

#[cfg(test)]
mod tests;
