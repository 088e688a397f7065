//! `split` and `sticky`: one of several upstreams, by weight.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Named, Options};
use super::forward::{self, Forward};
use super::rehearsal::Rehearsing;
use super::settle::ChooseUpstream;
use crate::http::boxed::pinned;
use crate::http::caller_key::CallerKey;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;
use crate::http::rendezvous::{self, Draw, fnv, mix};
use crate::upstream::Upstream;
use crate::value::problem::Problems;

/// One side of a `split`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SideConfig {
    pub upstream: String,
    /// Share of the requests, relative to the other sides. 0 takes none.
    pub weight: u32,
}

/// `split`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Config(Vec<SideConfig>);

impl Block for Config {
    fn check(&self, _: &[&str], problems: &mut Problems) {
        if self.0.iter().all(|side| side.weight == 0) {
            problems
                .error(&[], "no side of the split takes any request")
                .help("give at least one side a weight above 0");
        }
        for (index, side) in self.0.iter().enumerate() {
            if self.0[..index].iter().any(|s| s.upstream == side.upstream) {
                let index = index.to_string();
                problems
                    .error(
                        &[&index, "upstream"],
                        format!("`{}` is a side of this split already", side.upstream),
                    )
                    .help("add up the weights in one entry");
            }
        }
    }

    fn build(&self, build: &Build<'_>, options: Options<'_>) -> Option<Box<dyn Handler>> {
        let sides: Option<Vec<_>> = self
            .sides()
            .map(|(name, weight)| Some((name, weight, build.upstream(name)?)))
            .collect();
        Some(Box::new(SplitTarget {
            forward: Forward::new(build, options)?,
            split: Split::new(sides?, options.sticky.cloned())?,
        }))
    }

    fn rehearse(
        &self,
        rehearsing: &Rehearsing<'_>,
        options: Options<'_>,
    ) -> Option<Box<dyn Handler>> {
        let split = self.named_sides(options)?;
        let side = move |request: &Request| {
            let settled = request.context.upstream.clone();
            settled.unwrap_or_else(|| split.choose(request).clone())
        };
        Some(forward::told(rehearsing, options, side))
    }

    fn is_forwarded(&self) -> bool {
        true
    }

    fn has_sides(&self) -> bool {
        true
    }

    fn upstreams(&self) -> Vec<Named<'_>> {
        let place = |index: usize| vec![index.to_string(), "upstream".to_owned()];
        let sides = self.sides().enumerate();
        sides
            .map(|(index, (name, _))| (name, place(index)))
            .collect()
    }

    fn settled_by(&self, options: Options<'_>) -> Option<Box<dyn ChooseUpstream>> {
        Some(Box::new(self.named_sides(options)?))
    }
}

impl Config {
    /// The sides, each with its name.
    fn named_sides(&self, options: Options<'_>) -> Option<Split<Arc<str>>> {
        let sides = self
            .sides()
            .map(|(name, weight)| (name, weight, name.into()));
        Split::new(sides, options.sticky.cloned())
    }

    /// Name and weight of each side.
    fn sides(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0
            .iter()
            .map(|side| (side.upstream.as_str(), side.weight))
    }
}

/// The target of a route with `split`.
struct SplitTarget {
    forward: Forward,
    split: Split<Arc<Upstream>>,
}

impl Handler for SplitTarget {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        let settled = request.context.upstream.as_ref();
        let mut upstreams = self.split.values();
        let settled = settled.and_then(|name| upstreams.find(|upstream| upstream.name() == name));
        let upstream = settled.unwrap_or_else(|| self.split.choose(&request));
        pinned(|| self.forward.send(upstream, request, exchange))
    }
}

impl ChooseUpstream for Split<Arc<str>> {
    fn upstream(&self, request: &Request) -> &Arc<str> {
        self.choose(request)
    }
}

/// The step of SplitMix64, added to what is drawn here. Callers would move if it changed.
const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// The sides of a split, each with what a request that falls to it is given.
pub struct Split<T> {
    sides: Vec<Side<T>>,
    total: u64,
    sticky: Option<CallerKey>,
}

struct Side<T> {
    weight: u32,
    /// Hash of the upstream's name.
    seed: u64,
    value: T,
}

impl<T> Split<T> {
    /// Weights are relative. None when no side takes any request.
    pub fn new<'n>(
        sides: impl IntoIterator<Item = (&'n str, u32, T)>,
        sticky: Option<CallerKey>,
    ) -> Option<Self> {
        let sides: Vec<_> = sides
            .into_iter()
            .map(|(name, weight, value)| Side {
                weight,
                seed: fnv(name.as_bytes()),
                value,
            })
            .collect();
        let total: u64 = sides.iter().map(|side| u64::from(side.weight)).sum();
        (total > 0).then_some(Split {
            sides,
            total,
            sticky,
        })
    }

    /// The side of this request: the same for all requests of one caller with `sticky`, and a random one
    /// without, or for a caller that lacks the header, cookie or address.
    pub fn choose(&self, request: &Request) -> &T {
        let caller = (self.sticky.as_ref()).and_then(|by| by.of(request, fnv));
        let side = match caller {
            Some(caller) => self.of_caller(caller),
            None => self.at(fastrand::u64(..self.total)),
        };
        &side.value
    }

    /// The values of all sides.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.sides.iter().map(|side| &side.value)
    }

    /// The side that `point` of the summed weights falls into.
    fn at(&self, mut point: u64) -> &Side<T> {
        for side in &self.sides {
            match point.checked_sub(u64::from(side.weight)) {
                Some(beyond) => point = beyond,
                None => return side,
            }
        }
        &self.sides[0]
    }

    /// The side of a caller; see [`crate::http::rendezvous`]. A change of weights moves as few callers as the new shares
    /// allow.
    fn of_caller(&self, caller: u64) -> &Side<T> {
        let taking = self.sides.iter().filter(|side| side.weight > 0);
        let draws = taking.map(|side| Draw {
            bits: mix((caller ^ side.seed).wrapping_add(SALT)),
            weight: side.weight,
            what: side,
        });
        rendezvous::winner(draws).unwrap_or(&self.sides[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};

    fn by_user(weights: &[(&'static str, u32)]) -> Split<&'static str> {
        let sticky = CallerKey::try_from("header:x-user".to_owned()).unwrap();
        let sides = weights.iter().map(|(name, weight)| (*name, *weight, *name));
        Split::new(sides, Some(sticky)).unwrap()
    }

    fn user(id: usize) -> Box<Request> {
        let mut request = request("GET", "/");
        request.headers = headers(&[("x-user", &format!("user-{id}"))]);
        request
    }

    #[test]
    fn callers_are_shared_out_by_weight_and_stay() {
        let split = by_user(&[("v1", 90), ("v2", 10), ("off", 0)]);
        let mut second = 0;
        for id in 0..10_000 {
            let side = *split.choose(&user(id));
            assert_eq!(side, *split.choose(&user(id)));
            assert_ne!(side, "off");
            second += usize::from(side == "v2");
        }
        assert!((900..1100).contains(&second), "{second} of 10000");
    }

    #[test]
    fn callers_stay_where_other_versions_send_them() {
        let split = by_user(&[("v1", 50), ("v2", 40), ("v3", 10)]);
        let sides: Vec<&str> = (0..12).map(|id| *split.choose(&user(id))).collect();
        assert_eq!(
            sides.join(" "),
            "v3 v1 v3 v1 v2 v2 v2 v3 v2 v1 v1 v2",
            "of user-0 to user-11"
        );
    }

    #[test]
    fn a_side_that_gains_weight_only_gains_callers() {
        let before = by_user(&[("v1", 50), ("v2", 40), ("v3", 10)]);
        let after = by_user(&[("v3", 30), ("v1", 50), ("v2", 40)]);
        for id in 0..5_000 {
            let (old, new) = (*before.choose(&user(id)), *after.choose(&user(id)));
            assert!(old == new || new == "v3", "{id} moved from {old} to {new}");
        }
    }

    #[test]
    fn callers_without_the_value_get_either_side() {
        let split = by_user(&[("v1", 1), ("v2", 1)]);
        let mut empty = request("GET", "/");
        empty.headers = headers(&[("x-user", "")]);
        for anonymous in [request("GET", "/"), empty] {
            let mut seen = std::collections::BTreeSet::new();
            // That one side is missed has a chance of two to the minus 199.
            for _ in 0..200 {
                seen.insert(*split.choose(&anonymous));
            }
            assert_eq!(seen.len(), 2);
        }
    }

    #[test]
    fn random_points_fall_by_weight() {
        let split = Split::new([("a", 2, 'a'), ("b", 0, 'b'), ("c", 1, 'c')], None).unwrap();
        let fallen: String = (0..3).map(|point| split.at(point).value).collect();
        assert_eq!(fallen, "aac");
        assert!(Split::new([("a", 0, ())], None).is_none());
    }
}
