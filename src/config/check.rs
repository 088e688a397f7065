//! What no room can see alone: names that meet nothing, addresses that meet each other.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Blocks;
use super::suggest::nearest;
use crate::listener::ListenAddress;
use crate::problem::Problems;
use crate::route;
use crate::value::Name;

/// The word in place of an upstream's name that stands for where the caller wanted to go.
const ORIGINAL_DESTINATION: &str = "original-destination";

/// Everything that makes the config unfit to serve.
pub(super) fn check(blocks: &Blocks, problems: &mut Problems) {
    blocks_alone(blocks, problems);
    names(blocks, problems);
    addresses(blocks, problems);
    if blocks.listener_names.is_empty() {
        problems
            .error(&[], "there is no listener, so nothing would be served")
            .help("add one: `[listeners.web]` with `listen = \"127.0.0.1:15001\"`");
    }
    let routes = blocks
        .routes
        .iter()
        .map(|(name, (route, _))| (name.clone(), route));
    route::check(&routes.collect(), problems);
}

/// Parts that nothing leads to. Only for a config without errors, where a route that could not be read might
/// have led there.
pub(super) fn check_use(blocks: &Blocks, problems: &mut Problems) {
    let routes = || blocks.routes.values().map(|(route, _)| route);
    let used: BTreeSet<&str> = routes().flat_map(upstreams).map(|(name, _)| name).collect();
    for name in blocks.upstreams.keys() {
        if !used.contains(name.as_str()) {
            problems.warning(&["upstreams", name.as_str()], "no route uses this upstream");
        }
    }
    for name in blocks.listeners.keys() {
        if !routes().any(|route| serves(route, name)) {
            problems.warning(
                &["listeners", name.as_str()],
                "no route serves this listener: every request gets 404",
            );
        }
    }
}

/// Each block's own check.
fn blocks_alone(blocks: &Blocks, problems: &mut Problems) {
    if let Some(process) = &blocks.process {
        problems.within(&["process"], |p| process.check(p));
    }
    for (name, listener) in &blocks.listeners {
        problems.within(&["listeners", name.as_str()], |p| listener.check(p));
    }
    for (name, upstream) in &blocks.upstreams {
        problems.within(&["upstreams", name.as_str()], |p| upstream.check(p));
    }
    for (name, (route, policies)) in &blocks.routes {
        problems.within(&["routes", name.as_str()], |p| {
            route.check(p);
            policies.check(p);
        });
    }
    if let Some(admin) = &blocks.admin {
        problems.within(&["admin"], |p| admin.check(p));
    }
    if let Some(log) = &blocks.log {
        problems.within(&["log"], |p| log.check(p));
    }
    if let Some(defaults) = &blocks.defaults {
        problems.within(&["defaults"], |p| defaults.check(p));
    }
}

fn names(blocks: &Blocks, problems: &mut Problems) {
    for (name, (route, _)) in &blocks.routes {
        let at = |keys: &[String]| {
            let route = ["routes".to_owned(), name.to_string()];
            [&route, keys].concat()
        };
        for (upstream, keys) in upstreams(route) {
            upstream_exists(upstream, &at(&keys), &blocks.upstream_names, problems);
        }
        for (listener, keys) in listeners(route) {
            exists(
                "listener",
                listener,
                &at(&keys),
                &blocks.listener_names,
                problems,
            );
        }
    }
}

fn upstream_exists(name: &str, at: &[String], known: &BTreeSet<String>, problems: &mut Problems) {
    match name {
        ORIGINAL_DESTINATION => {
            problems
                .error(
                    &keys(at),
                    "`original-destination` is known, but not built yet in this version",
                )
                .help("name an upstream");
        }
        name => exists("upstream", name, at, known, problems),
    }
}

fn exists(
    what: &str,
    name: &str,
    at: &[String],
    known: &BTreeSet<String>,
    problems: &mut Problems,
) {
    if known.contains(name) {
        return;
    }
    match nearest(name, known.iter().map(String::as_str)) {
        Some(meant) => problems
            .error(
                &keys(at),
                format!("there is no {what} `{name}`, did you mean `{meant}`?"),
            )
            .related(&[&format!("{what}s"), meant], "this one"),
        None => problems
            .error(&keys(at), format!("there is no {what} `{name}`"))
            .help(format!("add a table `[{what}s.{name}]`")),
    };
}

/// Two sockets cannot have one address. Port 0 stands for any free one. That the admin API's two differ, its own
/// block checks.
fn addresses(blocks: &Blocks, problems: &mut Problems) {
    let mut taken: BTreeMap<&ListenAddress, Vec<&str>> = BTreeMap::new();
    if let Some(admin) = &blocks.admin {
        for (address, key) in [
            (&admin.listen, "listen"),
            (&admin.probe_listen, "probe_listen"),
        ] {
            if let Some(address) = &address.0 {
                taken.entry(address).or_insert_with(|| vec!["admin", key]);
            }
        }
    }
    for (name, listener) in &blocks.listeners {
        let address = &listener.listen;
        if matches!(address, ListenAddress::Tcp(a) if a.port() == 0) {
            continue;
        }
        let at = vec!["listeners", name.as_str(), "listen"];
        match taken.get(address) {
            None => {
                taken.insert(address, at);
            }
            Some(first) => {
                let owner = first.join(".");
                problems
                    .error(&at, format!("`{address}` is taken by `{owner}`"))
                    .help("give each its own address")
                    .related(first, "first used here");
            }
        }
    }
}

/// The upstreams that a route names, and under which key.
fn upstreams(route: &route::Config) -> Vec<(&str, Vec<String>)> {
    let one = route
        .upstream
        .iter()
        .map(|name| (name.as_str(), vec!["upstream".to_owned()]));
    let several = route.split.iter().flatten().enumerate().map(|(i, side)| {
        let at = vec!["split".to_owned(), i.to_string(), "upstream".to_owned()];
        (side.upstream.as_str(), at)
    });
    one.chain(several).collect()
}

/// The listeners that a route names, and under which key.
fn listeners(route: &route::Config) -> Vec<(&str, Vec<String>)> {
    let own = (&["listener"][..], &route.listener);
    let matched = (&["match", "listener"][..], &route.matches.listener);
    let mut found = Vec::new();
    for (above, names) in [own, matched] {
        for (i, name) in names.iter().flat_map(|names| &names.0).enumerate() {
            // A single name stands under the key itself; its index leads there as well.
            let above = above.iter().map(|key| (*key).to_owned());
            found.push((name.as_str(), above.chain([i.to_string()]).collect()));
        }
    }
    found
}

fn serves(route: &route::Config, listener: &Name) -> bool {
    [&route.listener, &route.matches.listener]
        .into_iter()
        .flatten()
        .all(|names| names.0.contains(listener))
}

fn keys(at: &[String]) -> Vec<&str> {
    at.iter().map(String::as_str).collect()
}
