//! The blocks of a config, and which keys of its root are theirs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::{Reader, keys_of};
use crate::config::de::{self, Kind};
use crate::config::source::Source;
use crate::config::tree::Node;
use crate::config::tree::{Entry, Value};
use crate::value::{Name, Wrong};
use crate::{
    admin, broker, database, listener, net::drain, policy, process, relay, route, subscription,
    target, tcp, telemetry, upstream,
};

/// The root keys that this version knows.
const BLOCKS: &[&str] = &[
    "admin",
    "process",
    "log",
    "tracing",
    "shutdown",
    "listeners",
    "upstreams",
    "brokers",
    "databases",
    "routes",
    "tcp_routes",
    "subscriptions",
    "relays",
    "defaults",
];

/// Root keys of the contract that are not built yet.
const NOT_BUILT: &[&str] = &["rollback"];

/// The blocks of `[routes.NAME]`, one table for all.
pub(in crate::config) struct Route {
    pub route: route::Config,
    pub target: target::Config,
    pub policies: policy::Config,
}

/// The blocks as far as they could be read.
#[derive(Default)]
pub(in crate::config) struct Blocks {
    pub admin: Option<admin::Config>,
    pub process: Option<process::Config>,
    pub log: Option<telemetry::log::Config>,
    pub tracing: Option<telemetry::traces::Config>,
    pub shutdown: Option<drain::Config>,
    pub defaults: Option<policy::Config>,
    pub listeners: BTreeMap<Name, listener::Config>,
    pub upstreams: BTreeMap<Name, upstream::Config>,
    pub brokers: BTreeMap<Name, broker::Config>,
    pub databases: BTreeMap<Name, database::Config>,
    pub routes: BTreeMap<Name, Route>,
    pub tcp_routes: BTreeMap<Name, tcp::Config>,
    pub subscriptions: BTreeMap<Name, subscription::Config>,
    pub relays: BTreeMap<Name, relay::Config>,
    /// Every name that is in use, also of blocks that could not be read.
    pub listener_names: BTreeSet<String>,
    pub upstream_names: BTreeSet<String>,
    pub broker_names: BTreeSet<String>,
    pub database_names: BTreeSet<String>,
    pub route_names: BTreeSet<String>,
}

impl Reader<'_> {
    pub fn blocks(&mut self) -> Blocks {
        self.root_keys();
        let mut blocks = Blocks {
            admin: self.block("admin"),
            process: self.block("process"),
            log: self.block("log"),
            tracing: self.block("tracing"),
            shutdown: self.block("shutdown"),
            defaults: self.block("defaults"),
            ..Blocks::default()
        };
        blocks.listeners = self.named("listeners", Self::whole, &mut blocks.listener_names);
        blocks.upstreams = self.named("upstreams", Self::whole, &mut blocks.upstream_names);
        blocks.brokers = self.named("brokers", Self::whole, &mut blocks.broker_names);
        blocks.databases = self.named("databases", Self::whole, &mut blocks.database_names);
        blocks.routes = self.named("routes", Self::route, &mut blocks.route_names);
        blocks.tcp_routes = self.named("tcp_routes", Self::tcp_route, &mut BTreeSet::new());
        blocks.subscriptions = self.named("subscriptions", Self::whole, &mut BTreeSet::new());
        blocks.relays = self.named("relays", Self::whole, &mut BTreeSet::new());
        blocks
    }

    fn root_keys(&mut self) {
        for key in keys_of(&self.document.root) {
            let error = match () {
                () if BLOCKS.contains(&key.as_str()) => continue,
                () if NOT_BUILT.contains(&key.as_str()) => de::Error::new(Kind::NotBuilt),
                () => de::Error::unknown_key(&key, BLOCKS),
            };
            self.report(error.in_key(&key));
        }
    }

    /// A table that stands once. Left out, it is as if it were empty.
    fn block<T: DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        match self.document.root.child(key) {
            None => Some(T::default()),
            Some(_) => self.whole(&[key.to_owned()]),
        }
    }

    /// The tables `[key.NAME]`.
    fn named<T>(
        &mut self,
        key: &str,
        read: fn(&mut Self, &[String]) -> Option<T>,
        names: &mut BTreeSet<String>,
    ) -> BTreeMap<Name, T> {
        let Some(node) = self.document.root.child(key) else {
            return BTreeMap::new();
        };
        if !matches!(node.value, Value::Table(_)) {
            let error = de::Error::new(Kind::Unfit {
                found: node.words().to_owned(),
                expected: format!("tables `[{key}.NAME]`"),
            });
            self.report(error.under(key));
            return BTreeMap::new();
        }
        let mut blocks = BTreeMap::new();
        self.without_name(key);
        let node = self.document.root.child(key);
        for text in node.map(keys_of).unwrap_or_default() {
            let name = text.parse::<Name>();
            if let Err(wrong) = &name {
                let error = de::Error::new(Kind::Other(wrong.clone()));
                let at = error.in_key(&text).under(key).arrived();
                self.problems.push(self.document.problem(&at));
            }
            let block = read(self, &[key.to_owned(), text.clone()]);
            if let (Ok(name), Some(block)) = (name, block) {
                blocks.insert(name, block);
            }
            names.insert(text);
        }
        blocks
    }

    /// Reports what stands in `[key]` itself, where there is more than tables: the name of one was forgotten.
    fn without_name(&mut self, key: &str) {
        let Some(Value::Table(table)) = self.document.root.child(key).map(|node| &node.value)
        else {
            return;
        };
        // A header that makes a list of tables has a name, and only too many brackets.
        let is_table = |entry: &Entry| match entry.node.value {
            Value::Table(_) => true,
            _ => self.document.text(&entry.node.place).starts_with("[["),
        };
        let Some((first, _)) = table.iter().find(|(_, entry)| !is_table(entry)) else {
            return;
        };
        let wrong = Wrong::new(format!(
            "`{first}` is no table, and `[{key}]` has nothing else"
        ))
        .help(format!("write it under a name: `[{key}.NAME]`"));
        let error = de::Error::new(Kind::Other(wrong)).in_key(first).under(key);
        // A table in braces belongs to what has no name; one with a header has its own.
        let own: Vec<_> = table
            .iter()
            .filter(|(_, entry)| {
                !is_table(entry) || self.document.text(&entry.node.place).starts_with('{')
            })
            .map(|(name, _)| [key.to_owned(), name.clone()])
            .collect();
        self.report(error);
        for path in own {
            self.remove(&path);
        }
        self.incomplete = true;
    }

    /// A TCP route. Keys that only routes of requests have are told from those that nobody knows.
    fn tcp_route(&mut self, path: &[String]) -> Option<tcp::Config> {
        let node = self.document.root.at(path)?;
        let sources = self.document.sources;
        let keys = |read: fn(&Node, &[Source], &Cell<&'static [&'static str]>)| {
            let known = Cell::default();
            read(node, sources, &known);
            known.into_inner()
        };
        // Of these blocks only the keys are wanted.
        let of_requests = [
            keys(|node, sources, known| {
                drop(de::read_part::<policy::Config>(node, sources, known))
            }),
            keys(|node, sources, known| {
                drop(de::read_part::<target::Config>(node, sources, known))
            }),
            keys(|node, sources, known| drop(de::read_part::<route::Config>(node, sources, known))),
        ];
        let own =
            keys(|node, sources, known| drop(de::read_part::<tcp::Config>(node, sources, known)));
        let misplaced = keys_of(node).into_iter().filter(|key| {
            let key = &key.as_str();
            !own.contains(key) && of_requests.iter().any(|known| known.contains(key))
        });
        for key in misplaced.collect::<Vec<_>>() {
            let wrong = Wrong::new(format!(
                "`{key}` is for requests, and a TCP route passes bytes on that nobody reads"
            ))
            .help("leave it out, or write a route of requests: `[routes.NAME]`");
            let error = de::Error::new(Kind::Other(wrong)).in_key(&key);
            let above = path.iter().rev();
            let error = above.fold(error, |error, key| error.under(key));
            self.report(error);
        }
        self.whole(path)
    }

    /// A route's table holds three blocks. Each is read without the keys of the others; what none knows is
    /// unknown.
    fn route(&mut self, path: &[String]) -> Option<Route> {
        let known: [Cell<&[&str]>; 3] = Default::default();
        let [own, targets, others] = &known;
        let sources = self.document.sources;
        let route = self.until_read(path, |node| de::read_part(node, sources, own));
        let target = self.until_read(path, |node| de::read_part(node, sources, targets));
        let policies = self.until_read(path, |node| de::read_part(node, sources, others));
        let known = known.map(Cell::into_inner);
        if known.iter().all(|keys| !keys.is_empty()) {
            self.remove_unknown(path, &known.concat());
        }
        Some(Route {
            route: route?,
            target: target?,
            policies: policies?,
        })
    }
}
