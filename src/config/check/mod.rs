//! What no room can see alone: names that meet nothing, parts that nothing leads to, addresses that meet each other.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Blocks, Route};
use super::suggest::nearest;
use crate::target::Targets as _;
use crate::upstream::ORIGINAL_DESTINATION;
use crate::value::Name;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::{listener, policy, route};

mod addresses;
mod original;
mod tcp;

/// Everything that makes the config unfit to serve, files aside.
pub(super) fn check(blocks: &Blocks, problems: &mut Problems) {
    blocks_alone(blocks, problems);
    names(blocks, problems);
    names_of_subscriptions(blocks, problems);
    names_of_relays(blocks, problems);
    addresses::check_sockets(blocks, problems);
    addresses::check_endpoints(blocks, problems);
    original::check_name(blocks, problems);
    tcp::check(blocks, problems);
    if blocks.listener_names.is_empty() {
        problems
            .error(&[], "there is no listener, so nothing would be served")
            .help("add one: `[listeners.web]` with `listen = \"127.0.0.1:15001\"`");
    }
    let routes = blocks
        .routes
        .iter()
        .map(|(name, read)| (name.clone(), &read.route));
    let names = blocks.listener_names.iter();
    let listeners: Vec<Name> = names.filter_map(|name| name.parse().ok()).collect();
    route::check(&routes.collect(), &listeners, problems);
}

/// Parts that nothing leads to. Only for a config without errors, where a route that could not be read might
/// have led there.
pub(super) fn check_use(blocks: &Blocks, problems: &mut Problems) {
    if let Some(defaults) = &blocks.defaults {
        problems.within(&["defaults"], |p| captures_of_defaults(blocks, defaults, p));
    }
    let routes = || blocks.routes.values();
    let named = routes().flat_map(|read| read.target.upstreams());
    let mut used: BTreeSet<&str> = named.map(|(name, _)| name).collect();
    let tcp_routes = blocks.tcp_routes.values();
    used.extend(tcp_routes.filter_map(|route| route.upstream.as_deref()));
    identities(blocks, problems);
    for name in blocks.upstreams.keys() {
        if !used.contains(name.as_str()) {
            problems.warning(&["upstreams", name.as_str()], "no route uses this upstream");
        }
    }
    let published = routes().flat_map(|read| read.target.brokers());
    let mut used: BTreeSet<&str> = published.map(|(name, _)| name).collect();
    used.extend(
        blocks
            .subscriptions
            .values()
            .map(|subscription| subscription.broker.as_str()),
    );
    let relays = || blocks.relays.values();
    used.extend(relays().map(|relay| relay.publish.broker.as_str()));
    for name in blocks.brokers.keys() {
        if !used.contains(name.as_str()) {
            let what =
                "no route and no relay publishes to this broker, and no subscription takes from it";
            problems.warning(&["brokers", name.as_str()], what);
        }
    }
    let named = routes().flat_map(|read| read.target.databases());
    let mut used: BTreeSet<&str> = named.map(|(name, _)| name).collect();
    used.extend(relays().map(|relay| relay.database.as_str()));
    for name in blocks.databases.keys() {
        if !used.contains(name.as_str()) {
            let what =
                "no route has a statement run by this database, and no relay takes rows from it";
            problems.warning(&["databases", name.as_str()], what);
        }
    }
    integrations(blocks, problems);
    addresses::check_credentials(blocks, problems);
    for (name, listener) in &blocks.listeners {
        let executes = listener.integrations.0.is_some();
        let speaks_http = !tcp::speaks_no_http(listener);
        if speaks_http && !executes && !routes().any(|read| serves(&read.route, name)) {
            problems.warning(
                &["listeners", name.as_str()],
                "no route serves this listener: every request gets 404",
            );
        }
    }
}

/// Routes that no request comes to, as the listeners that they serve answer their paths themselves.
fn integrations(blocks: &Blocks, problems: &mut Problems) {
    for (name, read) in &blocks.routes {
        let path = read.route.matches.path.clone().map(String::from);
        let taken =
            path.is_some_and(|path| path == "/integrations" || path.starts_with("/integrations/"));
        let mut served = blocks
            .listeners
            .iter()
            .filter(|(listener, _)| serves(&read.route, listener));
        if taken && served.all(|(_, listener)| listener.integrations.0.is_some()) {
            problems
                .warning(
                    &["routes", name.as_str(), "match", "path"],
                    "a listener with `integrations` answers this path itself, and this route serves no other listener",
                )
                .help("give it another path, or a listener without `integrations`");
        }
    }
}

/// Routes for which it matters who a caller has proven to be, where no listener has callers prove anything.
fn identities(blocks: &Blocks, problems: &mut Problems) {
    let proves = |listener: &listener::Config| {
        listener
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some())
    };
    for (name, read) in &blocks.routes {
        let Route {
            route, policies, ..
        } = read;
        let mut listeners = blocks.listeners.iter();
        let served = listeners.any(|(listener, config)| serves(route, listener) && proves(config));
        if served {
            continue;
        }
        for (place, so) in policies.summary().identities {
            problems
                .warning(
                    &[&["routes", name.as_str()], place].concat(),
                    format!("no listener of this route has callers prove who they are, {so}"),
                )
                .help("give the listener a `tls` with `client_ca`");
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
    for (name, broker) in &blocks.brokers {
        problems.within(&["brokers", name.as_str()], |p| broker.check(p));
    }
    for (name, database) in &blocks.databases {
        problems.within(&["databases", name.as_str()], |p| database.check(p));
    }
    for (name, subscription) in &blocks.subscriptions {
        problems.within(&["subscriptions", name.as_str()], |p| subscription.check(p));
    }
    for (name, relay) in &blocks.relays {
        problems.within(&["relays", name.as_str()], |p| relay.check(p));
    }
    for (name, read) in &blocks.routes {
        let Route {
            route,
            target,
            policies,
        } = read;
        let known = route.captures();
        problems.within(&["routes", name.as_str()], |p| {
            route.check(p);
            target.check(&known, p);
            let methods = route.matches.methods.iter().flatten();
            let methods: Vec<_> = methods.map(|method| &method.0).collect();
            target.check_methods(&methods, p);
            policies.check(p);
            check_captures(&known, policies, p);
            if let Some(defaults) = &blocks.defaults {
                policies.clone().or(defaults).check_together(p);
            }
        });
    }
    if let Some(admin) = &blocks.admin {
        if admin.writable_dir.is_none() {
            nowhere_to_register(blocks, problems);
        }
        problems.within(&["admin"], |p| admin.check(p));
    }
    if let Some(log) = &blocks.log {
        problems.within(&["log"], |p| log.check(p));
    }
    if let Some(tracing) = &blocks.tracing {
        problems.within(&["tracing"], |p| tracing.check(p));
    }
    if let Some(defaults) = &blocks.defaults {
        problems.within(&["defaults"], |p| defaults.check(p));
    }
}

/// Listeners that register, where there is nothing to write it to.
fn nowhere_to_register(blocks: &Blocks, problems: &mut Problems) {
    for (name, listener) in &blocks.listeners {
        if listener
            .integrations
            .0
            .as_ref()
            .is_some_and(|on| on.register)
        {
            problems
                .error(
                    &["listeners", name.as_str(), "integrations", "register"],
                    "what is registered has no directory to be written to",
                )
                .help("set `writable_dir` in `[admin]`");
        }
    }
}

/// What values of headers call the parts of the path: `known` is what it has.
fn check_captures(known: &[&str], policies: &policy::Config, problems: &mut Problems) {
    for (place, value) in policies.summary().values {
        let place = place.each_ref().map(String::as_str);
        captures::check(known, &place, value.captures(), value.as_str(), problems);
    }
}

/// The same of `[defaults]`, which serve many routes: a value is empty on one without such a part, and a mistake when no
/// route has it.
fn captures_of_defaults(blocks: &Blocks, defaults: &policy::Config, problems: &mut Problems) {
    let routes = blocks.routes.values();
    let known: BTreeSet<&str> = routes.flat_map(|read| read.route.captures()).collect();
    check_captures(&Vec::from_iter(known), defaults, problems);
}

fn names(blocks: &Blocks, problems: &mut Problems) {
    for (name, read) in &blocks.routes {
        let at = |keys: &[String]| {
            let route = ["routes".to_owned(), name.to_string()];
            [&route, keys].concat()
        };
        for (upstream, keys) in read.target.upstreams() {
            if upstream == ORIGINAL_DESTINATION {
                original::check(blocks, (name, &read.route), &keys, problems);
            } else {
                let known = &blocks.upstream_names;
                exists("upstream", upstream, &at(&keys), known, problems);
            }
        }
        for (broker, keys) in read.target.brokers() {
            exists("broker", broker, &at(&keys), &blocks.broker_names, problems);
        }
        for (database, keys) in read.target.databases() {
            let known = &blocks.database_names;
            exists("database", database, &at(&keys), known, problems);
        }
        for (listener, keys) in listeners(&read.route) {
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

/// The brokers and routes that subscriptions name.
fn names_of_subscriptions(blocks: &Blocks, problems: &mut Problems) {
    for (name, subscription) in &blocks.subscriptions {
        for (what, named, known) in [
            ("broker", &subscription.broker, &blocks.broker_names),
            ("route", &subscription.route, &blocks.route_names),
        ] {
            let at = ["subscriptions", name.as_str(), what].map(str::to_owned);
            exists(what, named.as_str(), &at, known, problems);
        }
    }
}

/// The databases and brokers that relays name, and tables that two of them do.
fn names_of_relays(blocks: &Blocks, problems: &mut Problems) {
    let mut tables = BTreeMap::new();
    for (name, relay) in &blocks.relays {
        let at = |keys: &[&str]| -> Vec<String> {
            let all = ["relays", name.as_str()]
                .into_iter()
                .chain(keys.iter().copied());
            all.map(str::to_owned).collect()
        };
        let database = relay.database.as_str();
        let known = &blocks.database_names;
        exists("database", database, &at(&["database"]), known, problems);
        let broker = relay.publish.broker.as_str();
        let known = &blocks.broker_names;
        exists(
            "broker",
            broker,
            &at(&["publish", "broker"]),
            known,
            problems,
        );
        if let Some(first) = tables.insert((&relay.database, &relay.table), name) {
            problems
                .error(
                    &["relays", name.as_str(), "table"],
                    format!("relay `{first}` takes the rows of this table already, and each row is taken once"),
                )
                .related(&["relays", first.as_str(), "table"], "this one");
        }
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

/// More connections than a process may have files open, which is `most`.
pub(super) fn connections(blocks: &Blocks, most: u64, problems: &mut Problems) {
    let all = blocks.listeners.values();
    let wanted: u64 = all.map(|listener| listener.max_connections as u64).sum();
    let largest = blocks.listeners.iter();
    let largest = largest.max_by_key(|(_, listener)| listener.max_connections);
    if wanted > most
        && let Some((name, _)) = largest
    {
        problems
            .warning(
                &["listeners", name.as_str(), "max_connections"],
                format!(
                    "the listeners may have {wanted} connections, and a process here may have no more than {most} \
                     files open: callers wait before the last ones are taken"
                ),
            )
            .help("raise the hard limit (`ulimit -n`, systemd's `LimitNOFILE`, a container's `ulimits`), or lower this");
    }
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
