//! Addresses that meet each other: of two sockets, and of an endpoint and a socket of our own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::read::Blocks;
use crate::listener::ListenAddress;
use crate::target::Targets as _;
use crate::value::Name;
use crate::value::problem::Problems;

/// Two sockets cannot have one address. That the admin API's two differ, its own block checks.
pub(super) fn check_sockets(blocks: &Blocks, problems: &mut Problems) {
    let mut taken: Vec<(&ListenAddress, Vec<&str>)> = Vec::new();
    if let Some(admin) = &blocks.admin {
        for (address, key) in [
            (&admin.listen, "listen"),
            (&admin.probe_listen, "probe_listen"),
        ] {
            let address = address.0.as_ref();
            taken.extend(address.map(|address| (address, vec!["admin", key])));
        }
    }
    for (name, listener) in &blocks.listeners {
        let address = &listener.listen;
        let at = vec!["listeners", name.as_str(), "listen"];
        if let Some((other, first)) = taken.iter().find(|(other, _)| other.collides_with(address)) {
            let owner = first.join(".");
            let message = if *other == address {
                format!("`{address}` is taken by `{owner}`")
            } else {
                format!("`{address}` is taken by `{owner}`, which has `{other}`")
            };
            problems
                .error(&at, message)
                .help("give each its own address")
                .related(first, "first used here");
        }
        taken.push((address, at));
    }
}

/// An endpoint that is one of our own sockets.
pub(super) fn check_endpoints(blocks: &Blocks, problems: &mut Problems) {
    for (name, upstream) in &blocks.upstreams {
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            let Some(address) = own_address(&endpoint.address) else {
                continue;
            };
            let index = index.to_string();
            let at = ["upstreams", name.as_str(), "endpoints", &index];
            if let Some((key, what)) = admin_port(blocks, &address) {
                problems
                    .warning(&at, format!("what is sent here comes to {what}"))
                    .help("name the application's own address")
                    .related(&["admin", key], "this one");
            }
            let mut listeners = blocks.listeners.iter();
            let own = listeners.find(|(_, listener)| is_reached_at(&listener.listen, &address));
            if let Some((listener, _)) = own {
                problems
                    .warning(
                        &at,
                        format!("what is sent here comes back to the listener `{listener}`"),
                    )
                    .help("name the application's own address")
                    .related(&["listeners", listener.as_str(), "listen"], "this one");
            }
        }
    }
}

/// Credentials that go to another machine so that whoever is on the way reads them.
pub(super) fn check_credentials(blocks: &Blocks, problems: &mut Problems) {
    for (name, read) in &blocks.routes {
        let mut policies = read.policies.clone();
        if let Some(defaults) = &blocks.defaults {
            policies = policies.or(defaults);
        }
        let Some(key) = policies.summary().credential else {
            continue;
        };
        let upstreams = read.target.upstreams();
        let open = upstreams.iter().find_map(|(upstream, _)| {
            let upstream = blocks.upstreams.get(&upstream.parse::<Name>().ok()?)?;
            let mut endpoints = upstream.endpoints.iter();
            let far = endpoints.find(|endpoint| !is_here(&endpoint.address));
            far.filter(|_| upstream.tls.is_none())
        });
        if let Some(endpoint) = open {
            problems
                .warning(
                    &["routes", name.as_str(), key],
                    format!(
                        "this credential goes unencrypted to `{}`, and whoever is on the way can read it",
                        endpoint.address
                    ),
                )
                .help("give the upstream a `tls`");
        }
    }
}

/// Whether an endpoint is on this machine, as far as it can be told without asking anybody.
fn is_here(endpoint: &str) -> bool {
    own_address(endpoint).is_some_and(|address| address.is_local())
}

/// An endpoint as an address, if it can be told without asking anybody.
fn own_address(endpoint: &str) -> Option<ListenAddress> {
    let local = match endpoint.rsplit_once(':') {
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        _ => endpoint.to_owned(),
    };
    let Ok(written) = local.parse::<SocketAddr>() else {
        return local.parse().ok();
    };
    // What is sent to no address at all comes to this machine.
    let ip = match written.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, written.port()).to_string().parse().ok()
}

/// Whether what is sent to `endpoint` comes to the socket that listens at `own`. Another machine may have the same
/// port.
fn is_reached_at(own: &ListenAddress, endpoint: &ListenAddress) -> bool {
    own == endpoint || endpoint.is_local() && own.collides_with(endpoint)
}

/// The key and the name of the admin API's socket that listens at `address`: a caller of the route could give orders
/// to the proxy there.
fn admin_port(blocks: &Blocks, address: &ListenAddress) -> Option<(&'static str, &'static str)> {
    let admin = blocks.admin.as_ref()?;
    let own = |own: &crate::admin::AdminAddress| {
        own.0
            .as_ref()
            .is_some_and(|own| is_reached_at(own, address))
    };
    match () {
        () if own(&admin.listen) => Some((
            "listen",
            "the proxy's own admin API, where callers of the route could steer the proxy",
        )),
        () if own(&admin.probe_listen) => {
            Some(("probe_listen", "the proxy's own probes and metrics"))
        }
        () => None,
    }
}
