//! TCP routes and the listeners and upstreams that they name.

use super::{exists, keys};
use crate::config::read::Blocks;
use crate::upstream::ORIGINAL_DESTINATION;
use crate::value::Name;
use crate::value::problem::Problems;
use crate::{listener, tcp};

/// Each route alone, what it names, and routes that tie.
pub(super) fn check(blocks: &Blocks, problems: &mut Problems) {
    for (name, route) in &blocks.tcp_routes {
        problems.within(&["tcp_routes", name.as_str()], |p| route.check(p));
        names(blocks, name, route, problems);
        listeners(blocks, name, route, problems);
        encryption(blocks, name, route, problems);
    }
    tcp::check(&blocks.tcp_routes, problems);
    for (name, listener) in &blocks.listeners {
        let served = || blocks.tcp_routes.values().any(|r| r.serves(name.as_str()));
        if listener.pass_through.on().is_some() && !listener.transparent && !served() {
            problems
                .error(
                    &["listeners", name.as_str(), "pass_through"],
                    "nothing is redirected to this listener, so nobody knows where it should go",
                )
                .help("add a route, `[tcp_routes.NAME]` with an `upstream`, or set `transparent = true` as well");
        }
    }
}

/// Whether no route of requests is missed there.
pub(super) fn speaks_no_http(listener: &listener::Config) -> bool {
    listener.pass_through.on().is_some() && listener.protocols.is_empty()
}

fn names(blocks: &Blocks, name: &Name, route: &tcp::Config, problems: &mut Problems) {
    let at = |key: &str| {
        ["tcp_routes", name.as_str(), key]
            .map(str::to_owned)
            .to_vec()
    };
    if let Some(upstream) = &route.upstream
        && upstream != ORIGINAL_DESTINATION
    {
        let known = &blocks.upstream_names;
        exists("upstream", upstream, &at("upstream"), known, problems);
    }
    for (index, listener) in route.listener.iter().flat_map(|names| &names.0).enumerate() {
        let mut at = at("listener");
        at.push(index.to_string());
        let known = &blocks.listener_names;
        exists("listener", listener.as_str(), &at, known, problems);
        if let Some(config) = blocks.listeners.get(listener)
            && config.pass_through.on().is_none()
        {
            problems
                .error(
                    &keys(&at),
                    format!("the listener `{listener}` passes no connections on: it speaks HTTP"),
                )
                .help("set `pass_through = {}` there")
                .related(&["listeners", listener.as_str()], "this one");
        }
    }
}

/// What a route asks of the listeners that it serves.
fn listeners(blocks: &Blocks, name: &Name, route: &tcp::Config, problems: &mut Problems) {
    let above = ["tcp_routes", name.as_str()];
    let mut all = blocks.listeners.iter();
    let passing = |listener: &Name, config: &listener::Config| {
        route.serves(listener.as_str()) && config.pass_through.on().is_some()
    };
    if route.listener.is_none() && !all.clone().any(|(name, config)| passing(name, config)) {
        problems
            .error(
                &above,
                "no listener passes connections on, so none comes to this route",
            )
            .help("set `pass_through = {}` on a listener");
        return;
    }
    let Some((listener, _)) =
        all.find(|(name, config)| passing(name, config) && !config.transparent)
    else {
        return;
    };
    let wants = route.upstream.as_deref() == Some(ORIGINAL_DESTINATION);
    for (key, is_asked) in [
        (&["upstream"][..], wants),
        (
            &["match", "destination"],
            route.matches.destination.is_some(),
        ),
        (&["match", "port"], route.matches.port.is_some()),
    ] {
        if is_asked {
            problems
                .error(
                    &[&above[..], key].concat(),
                    format!("nobody knows where callers of the listener `{listener}` wanted to go: it is not transparent"),
                )
                .help("name the transparent listeners that this route serves: `listener = \"NAME\"`")
                .related(&["listeners", listener.as_str()], "this one");
        }
    }
}

/// Bytes go on as they are, so an upstream to which TLS is spoken gets none of them.
fn encryption(blocks: &Blocks, name: &Name, route: &tcp::Config, problems: &mut Problems) {
    let upstream = route.upstream.as_ref().and_then(|upstream| {
        let mut all = blocks.upstreams.iter();
        all.find(|(name, _)| name.as_str() == upstream)
    });
    if let Some((upstream, config)) = upstream
        && config.tls.is_some()
    {
        problems
            .error(
                &["tcp_routes", name.as_str(), "upstream"],
                format!("TLS is spoken to the upstream `{upstream}`, and what a TCP route passes on goes as it is"),
            )
            .help("have the caller speak TLS, and give the route an upstream without `tls`")
            .related(&["upstreams", upstream.as_str(), "tls"], "spoken here");
    }
}
