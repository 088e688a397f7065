//! The TCP routes of a config.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::app::snapshot::Snapshot;
use crate::config::Config;
use crate::tcp::{Table, TcpRoute};
use crate::upstream::Upstream;
use crate::value::Name;

/// Those of `config`, which go on counting where those of `old` have been.
pub(super) fn table(
    config: &Config,
    upstreams: &BTreeMap<Name, Arc<Upstream>>,
    old: Option<&Snapshot>,
) -> Table<Arc<TcpRoute>> {
    let routes = config.tcp_routes.iter().filter_map(|(name, route)| {
        let upstream = |wanted: &str| {
            let mut all = upstreams.iter();
            let found = all.find(|(name, _)| name.as_str() == wanted);
            found.map(|(_, upstream)| upstream.clone())
        };
        let before = old.and_then(|old| {
            old.serving
                .tcp
                .iter()
                .find(|route| *route.name == *name.as_str())
        });
        let ready = TcpRoute::next(name.as_str(), route, upstream, before.map(|old| &**old))?;
        Some((route.clone(), Arc::new(ready)))
    });
    routes.collect()
}
