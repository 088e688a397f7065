//! The upstream of original destinations, where a route wants it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::Config;
use crate::listener::ListenAddress;
use crate::net::resolve::Resolve;
use crate::target::Targets as _;
use crate::upstream::{ORIGINAL_DESTINATION, Upstream};
use crate::value::Name;

fn is_wanted(config: &Config) -> bool {
    let mut named = config
        .routes
        .values()
        .flat_map(|route| route.target.upstreams());
    named.any(|(name, _)| name == ORIGINAL_DESTINATION)
}

/// That of an earlier config.
fn of(upstreams: &BTreeMap<Name, Arc<Upstream>>) -> Option<&Arc<Upstream>> {
    upstreams.get(&ORIGINAL_DESTINATION.parse::<Name>().ok()?)
}

/// `before` are the upstreams of the config before.
pub(super) fn upstream(
    config: &Config,
    before: Option<&BTreeMap<Name, Arc<Upstream>>>,
    resolver: &Arc<dyn Resolve>,
) -> Option<(Name, Arc<Upstream>)> {
    if !is_wanted(config) {
        return None;
    }
    let listeners = config.listeners.values();
    let own = listeners.filter_map(|listener| match &listener.config.listen {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    });
    let own: Vec<SocketAddr> = own.collect();
    Upstream::original(own, before.and_then(of), resolver)
}
