//! Endpoints and their weights, made ready for picking.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::endpoint::Endpoint;
use super::transport::Transport;

/// Longest cycle of a weighted round-robin; finer weights are rounded.
const MAX_CYCLE: u64 = 4096;

/// An endpoint and its share of the requests.
pub struct Listed<T> {
    pub endpoint: Arc<Endpoint<T>>,
    pub weight: u32,
}

impl<T> PartialEq for Listed<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.endpoint, &other.endpoint) && self.weight == other.weight
    }
}

/// Endpoints with their weights, and what picking needs to know of these beforehand.
pub struct EndpointList<T: Transport> {
    entries: Vec<Listed<T>>,
    /// Sums of the weights up to and with each entry; empty when all weights are the same.
    sums: Vec<u64>,
    /// Indexes in the order of a weighted round-robin, made when it is first asked for.
    cycle: OnceLock<Box<[u32]>>,
}

impl<T: Transport> EndpointList<T> {
    /// A weight of 0 counts as 1.
    pub fn new(mut entries: Vec<Listed<T>>) -> Self {
        for entry in &mut entries {
            entry.weight = entry.weight.max(1);
            entry.endpoint.enlist();
        }
        let even = entries.windows(2).all(|two| two[0].weight == two[1].weight);
        let mut sum = 0;
        let sums = entries.iter().map(|entry| {
            sum += u64::from(entry.weight);
            sum
        });
        let sums = if even { Vec::new() } else { sums.collect() };
        EndpointList {
            entries,
            sums,
            cycle: OnceLock::new(),
        }
    }

    pub fn entries(&self) -> &[Listed<T>] {
        &self.entries
    }

    /// Whether all weights are the same.
    pub fn is_even(&self) -> bool {
        self.sums.is_empty()
    }

    /// Sum of the weights; the number of entries when all are the same.
    pub fn total(&self) -> u64 {
        self.sums
            .last()
            .copied()
            .unwrap_or(self.entries.len() as u64)
    }

    /// The part of `0..total()` that stands for an entry.
    pub fn span(&self, index: usize) -> Range<u64> {
        match self.sums.get(index) {
            None => index as u64..index as u64 + 1,
            Some(&end) => end - u64::from(self.entries[index].weight)..end,
        }
    }

    /// The entry whose part of `0..total()` has `point` in it.
    pub fn at(&self, point: u64) -> usize {
        if self.is_even() {
            point as usize
        } else {
            self.sums.partition_point(|&sum| sum <= point)
        }
    }

    /// An entry's weight relative to the mean of all.
    pub fn share(&self, index: usize) -> f32 {
        if self.is_even() {
            1.0
        } else {
            let mean = self.total() as f32 / self.entries.len() as f32;
            self.entries[index].weight as f32 / mean
        }
    }

    /// The entry whose turn it is when turns are counted up from anywhere. The list must not be empty.
    pub fn in_turn(&self, turn: usize) -> usize {
        if self.is_even() {
            return turn % self.entries.len();
        }
        let cycle = self.cycle.get_or_init(|| self.make_cycle());
        cycle[turn % cycle.len()] as usize
    }

    /// Spreads the turns of each entry evenly over a cycle, as stride scheduling does (Waldspurger and Weihl,
    /// 1995), so that a heavy one does not take its turns in a row.
    fn make_cycle(&self) -> Box<[u32]> {
        let weight = |entry: &Listed<T>| u64::from(entry.weight);
        let common = self
            .entries
            .iter()
            .map(weight)
            .fold(0, greatest_common_divisor);
        let length = (self.total() / common).min(MAX_CYCLE.max(self.entries.len() as u64));
        let mut turns = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let count = (weight(entry) * length / self.total()).max(1);
            turns.extend((0..count).map(|nth| {
                let place = (nth as f64 + 0.5) / count as f64;
                (place, index as u32)
            }));
        }
        turns.sort_by(|a, b| a.0.total_cmp(&b.0));
        turns.into_iter().map(|(_, index)| index).collect()
    }
}

impl<T: Transport> Drop for EndpointList<T> {
    fn drop(&mut self) {
        for entry in &self.entries {
            entry.endpoint.delist();
        }
    }
}

impl<T: Transport> Default for EndpointList<T> {
    fn default() -> Self {
        EndpointList::new(Vec::new())
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        b => greatest_common_divisor(b, a % b),
    }
}

#[cfg(test)]
mod tests {
    use crate::upstream::fake::list;
    use proptest::prelude::*;

    #[test]
    fn a_weighted_cycle_mixes_its_turns() {
        let list = list(&[40, 20]);
        let turns: Vec<usize> = (0..6).map(|turn| list.in_turn(turn)).collect();
        assert_eq!(turns, [0, 1, 0, 0, 1, 0]);
    }

    proptest! {
        #[test]
        fn every_point_belongs_to_the_entry_whose_span_has_it(
            weights in proptest::collection::vec(1u32..1000, 1..20),
        ) {
            let list = list(&weights);
            let mut end = 0;
            for index in 0..weights.len() {
                let span = list.span(index);
                prop_assert_eq!(span.start, end);
                prop_assert_eq!(list.at(span.start), index);
                prop_assert_eq!(list.at(span.end - 1), index);
                end = span.end;
            }
            prop_assert_eq!(end, list.total());
        }

        #[test]
        fn a_cycle_gives_each_its_weight(
            weights in proptest::collection::vec(1u32..1000, 1..8),
        ) {
            let list = list(&weights);
            let length = if list.is_even() {
                weights.len()
            } else {
                list.make_cycle().len()
            };
            let mut turns = vec![0u32; weights.len()];
            for turn in 0..length {
                turns[list.in_turn(turn)] += 1;
            }
            let total: u32 = weights.iter().sum();
            for (turns, weight) in turns.iter().zip(&weights) {
                let expected = f64::from(*weight) / f64::from(total) * length as f64;
                prop_assert!((f64::from(*turns) - expected).abs() <= weights.len() as f64);
                prop_assert!(*turns > 0);
            }
        }
    }
}
