//! The block `[tcp_routes.NAME]` as it is written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::table::rank;
use crate::route::HostPattern;
use crate::value::problem::Problems;
use crate::value::{Duration, Name, Network, OneOrMany};

/// `[tcp_routes.NAME]`: connections that are not HTTP, to a listener with `pass_through`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default, rename = "match")]
    pub matches: MatchConfig,
    /// Only for callers of these listeners. Default: every one with `pass_through`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<OneOrMany<Name>>,
    /// The upstream whose endpoints get the connections, or `"original-destination"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Close such connections instead.
    #[serde(default)]
    pub refuse: bool,
    /// How long neither side may send anything. Default: the listener's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Connections at once; more are closed at once.
    #[serde(default = "max_connections")]
    pub max_connections: usize,
}

/// `match`: every condition given must hold; one left out always does. Of a list one must.
///
/// Precedence does not depend on the order in the file: an exact name before the longest suffix before any; then the
/// longest network of the destination; then a port before any.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct MatchConfig {
    /// The name that TLS asks for: exact, or `*.suffix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sni: Option<OneOrMany<HostPattern>>,
    /// Networks in which the caller had connected to an address, before the kernel redirected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<OneOrMany<Network>>,
    /// Ports to which the caller had connected, before the kernel redirected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<OneOrMany<u16>>,
}

fn max_connections() -> usize {
    10_000
}

impl Config {
    /// What deserializing alone cannot see, except what concerns other blocks.
    pub fn check(&self, problems: &mut Problems) {
        match (&self.upstream, self.refuse) {
            (Some(_), true) => {
                problems
                    .error(&["refuse"], "a route has one target, and this one has two")
                    .help("keep `upstream` or `refuse`");
            }
            (None, false) => {
                problems
                    .error(&[], "a TCP route needs a target")
                    .help("write `upstream = \"NAME\"`, or `refuse = true`");
            }
            _ => {}
        }
        let matches = &self.matches;
        for (key, is_empty) in [
            ("sni", is_empty(matches.sni.as_ref())),
            ("destination", is_empty(matches.destination.as_ref())),
            ("port", is_empty(matches.port.as_ref())),
        ] {
            if is_empty {
                problems
                    .error(
                        &["match", key],
                        "a condition without values matches nothing",
                    )
                    .help(format!("leave `{key}` out to match every connection"));
            }
        }
        if is_empty(self.listener.as_ref()) {
            problems
                .error(&["listener"], "a route without listeners matches nothing")
                .help("leave `listener` out to match on every listener that passes connections on");
        }
        for (index, name) in self.names().iter().enumerate() {
            if let HostPattern::Exact(name) = name
                && (name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok())
            {
                let index = index.to_string();
                problems
                    .error(
                        &["match", "sni", &index],
                        format!("`{name}` is an address, and TLS asks for names only"),
                    )
                    .help("write a network under `destination`");
            }
        }
        if self.idle_timeout.is_some_and(|length| length.0.is_zero()) {
            problems.error(&["idle_timeout"], "must be longer than 0");
        }
        if self.max_connections == 0 {
            problems.error(&["max_connections"], "must be at least 1");
        }
    }

    /// Whether callers of `listener` are its business, where that passes connections on.
    pub fn serves(&self, listener: &str) -> bool {
        let named = self.listener.as_ref();
        named.is_none_or(|names| names.0.iter().any(|name| name.as_str() == listener))
    }

    pub(super) fn names(&self) -> &[HostPattern] {
        self.matches.sni.as_ref().map_or(&[], |names| &names.0)
    }

    pub(super) fn networks(&self) -> &[Network] {
        let networks = self.matches.destination.as_ref();
        networks.map_or(&[], |networks| &networks.0)
    }

    pub(super) fn ports(&self) -> &[u16] {
        self.matches.port.as_ref().map_or(&[], |ports| &ports.0)
    }

    fn shares_a_listener(&self, other: &Config) -> bool {
        match (&self.listener, &other.listener) {
            (Some(names), Some(others)) => names.0.iter().any(|name| others.0.contains(name)),
            _ => true,
        }
    }
}

fn is_empty<T>(list: Option<&OneOrMany<T>>) -> bool {
    list.is_some_and(|list| list.0.is_empty())
}

/// Reports routes that tie, at paths from the config's root.
pub fn check(routes: &BTreeMap<Name, Config>, problems: &mut Problems) {
    for (index, (name, route)) in routes.iter().enumerate() {
        let earlier = routes.iter().take(index);
        let mut tied =
            earlier.filter(|(_, other)| route.shares_a_listener(other) && rank::tie(route, other));
        if let Some((other, _)) = tied.next() {
            problems
                .error(
                    &["tcp_routes", name.as_str(), "match"],
                    format!("the routes `{other}` and `{name}` match the same connections, neither better than the other"),
                )
                .help("give one of them a condition that the other does not have, or another listener")
                .related(&["tcp_routes", other.as_str()], "the other one");
        }
    }
}
