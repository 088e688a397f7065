//! `split` and `sticky`: one of several upstreams, by weight.

use std::sync::Arc;

use http::{HeaderName, header};
use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Named, Options};
use super::forward::Forward;
use super::settle::ChooseUpstream;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;
use crate::upstream::Upstream;
use crate::value::Wrong;
use crate::value::problem::Problems;

/// One side of a `split`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SideConfig {
    pub upstream: String,
    /// Share of the requests, relative to the other sides. 0 takes none.
    pub weight: u32,
}

/// By what a caller is known, to keep it on one side.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(try_from = "String", into = "String")]
pub enum Sticky {
    Header(HeaderName),
    Cookie(String),
    ClientIp,
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
        Some(Box::new(Several {
            forward: Forward::new(build, options)?,
            split: Split::new(sides?, options.sticky.cloned())?,
        }))
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
        let sides = self
            .sides()
            .map(|(name, weight)| (name, weight, name.into()));
        let split: Split<Arc<str>> = Split::new(sides, options.sticky.cloned())?;
        Some(Box::new(split))
    }
}

impl Config {
    /// Name and weight of each side.
    fn sides(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0
            .iter()
            .map(|side| (side.upstream.as_str(), side.weight))
    }
}

/// The target of a route with `split`.
struct Several {
    forward: Forward,
    split: Split<Arc<Upstream>>,
}

impl Handler for Several {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        let settled = request.context.upstream.as_ref();
        let mut upstreams = self.split.values();
        let settled = settled.and_then(|name| upstreams.find(|upstream| upstream.name() == name));
        let upstream = settled.unwrap_or_else(|| self.split.choose(&request));
        Box::pin(self.forward.send(upstream, request, exchange))
    }
}

impl ChooseUpstream for Split<Arc<str>> {
    fn upstream(&self, request: &Request) -> &Arc<str> {
        self.choose(request)
    }
}

/// The sides of a split, each with what a request that falls to it is given.
pub struct Split<T> {
    sides: Vec<Side<T>>,
    total: u64,
    sticky: Option<Sticky>,
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
        sticky: Option<Sticky>,
    ) -> Option<Self> {
        let sides: Vec<_> = sides
            .into_iter()
            .map(|(name, weight, value)| Side {
                weight,
                seed: hash(FNV_OFFSET, name.as_bytes()),
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
        let caller = self.sticky.as_ref().and_then(|by| by.caller(request));
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

    /// Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", 2005, the
    /// logarithmic method): a side that gains weight wins callers and trades none between the others, so a
    /// change of weights moves as few callers as the new shares allow. It depends on names and weights alone,
    /// and is the same in every process.
    fn of_caller(&self, caller: u64) -> &Side<T> {
        let mut best = (&self.sides[0], f64::NEG_INFINITY);
        for side in self.sides.iter().filter(|side| side.weight > 0) {
            // 53 bits, and never 0 or 1, whose logarithms are of no use.
            let uniform = ((mix(caller ^ side.seed) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
            let score = -f64::from(side.weight) / uniform.ln();
            if score > best.1 {
                best = (side, score);
            }
        }
        best.0
    }
}

impl Sticky {
    /// A stable hash of what the caller is known by; none when the request does not have it.
    fn caller(&self, request: &Request) -> Option<u64> {
        let of = |bytes: &[u8]| (!bytes.is_empty()).then(|| hash(FNV_OFFSET, bytes));
        match self {
            Sticky::Header(name) => of(request.headers.get(name)?),
            Sticky::Cookie(name) => of(cookie(request, name)?),
            Sticky::ClientIp => match request.context.client?.to_canonical() {
                std::net::IpAddr::V4(ip) => of(&ip.octets()),
                std::net::IpAddr::V6(ip) => of(&ip.octets()),
            },
        }
    }
}

/// The value of a cookie (RFC 6265, section 4.2.1).
fn cookie<'r>(request: &'r Request, name: &str) -> Option<&'r [u8]> {
    let lines = request
        .headers
        .iter()
        .filter(|(n, _)| n.eq_ignore_ascii_case(header::COOKIE.as_str().as_bytes()));
    lines
        .flat_map(|(_, line)| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| {
            pair.strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b"="))
        })
}

impl TryFrom<String> for Sticky {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let token = |name: &str| HeaderName::from_bytes(name.as_bytes());
        match text.split_once(':') {
            None if text == "client-ip" => Ok(Sticky::ClientIp),
            Some(("header", name)) => token(name)
                .map(Sticky::Header)
                .map_err(|_| crate::value::template::not_a_header_name(name)),
            // A cookie's name is a token, as a header's is; unlike a header's, its case counts.
            Some(("cookie", name)) if token(name).is_ok() => Ok(Sticky::Cookie(name.to_owned())),
            Some(("cookie", name)) => Err(format!("`{name}` is not a cookie name").into()),
            _ => Err(Wrong::new(format!("`{text}` is not known here"))
                .help("write \"header:NAME\", \"cookie:NAME\" or \"client-ip\"")),
        }
    }
}

impl From<Sticky> for String {
    fn from(sticky: Sticky) -> String {
        match sticky {
            Sticky::Header(name) => format!("header:{name}"),
            Sticky::Cookie(name) => format!("cookie:{name}"),
            Sticky::ClientIp => "client-ip".to_owned(),
        }
    }
}

/// FNV-1a (RFC 9923): short keys, and the same in every version and on every machine.
fn hash(mut state: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input reaches every bit.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};

    fn by_user(weights: &[(&'static str, u32)]) -> Split<&'static str> {
        let sticky = Sticky::try_from("header:x-user".to_owned()).unwrap();
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
        let anonymous = request("GET", "/");
        let mut seen = std::collections::BTreeSet::new();
        // That one side is missed has a chance of two to the minus 199.
        for _ in 0..200 {
            seen.insert(*split.choose(&anonymous));
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn random_points_fall_by_weight() {
        let split = Split::new([("a", 2, 'a'), ("b", 0, 'b'), ("c", 1, 'c')], None).unwrap();
        let fallen: String = (0..3).map(|point| split.at(point).value).collect();
        assert_eq!(fallen, "aac");
        assert!(Split::new([("a", 0, ())], None).is_none());
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut request = request("GET", "/");
        request.headers = headers(&[("cookie", "sid2=x; sid=abc"), ("Cookie", "last=1")]);
        assert_eq!(cookie(&request, "sid"), Some(&b"abc"[..]));
        assert_eq!(cookie(&request, "last"), Some(&b"1"[..]));
        assert_eq!(cookie(&request, "si"), None);
        let by_sid = Sticky::try_from("cookie:sid".to_owned()).unwrap();
        assert!(by_sid.caller(&request).is_some());
        assert!(Sticky::ClientIp.caller(&request).is_none());
    }

    #[test]
    fn sticky_has_three_forms() {
        for good in ["header:x-user", "cookie:SID", "client-ip"] {
            let sticky = Sticky::try_from(good.to_owned()).unwrap();
            assert_eq!(String::from(sticky), good);
        }
        for bad in [
            "",
            "user",
            "header:",
            "header:a b",
            "cookie:",
            "cookie:a=b",
            "ip:1",
        ] {
            assert!(Sticky::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
