//! From the tree to the blocks, past every problem on the way.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

use super::de::{self, Kind};
use super::files::Source;
use super::report::Problem;
use super::suggest::nearest;
use super::tree::{Entry, Node, Place, Value};
use crate::value::problem::{self, Problems};
use crate::value::{Name, Wrong};
use crate::{admin, listener, net::drain, policy, process, route, target, telemetry, upstream};

/// The root keys that this version knows.
const BLOCKS: &[&str] = &[
    "admin",
    "process",
    "log",
    "shutdown",
    "listeners",
    "upstreams",
    "routes",
    "defaults",
];

/// Root keys of the contract that are not built yet.
const NOT_BUILT: &[&str] = &["tracing", "rollback"];

/// The blocks of `[routes.NAME]`, one table for all.
pub(super) struct Route {
    pub route: route::Config,
    pub target: target::Config,
    pub policies: policy::Config,
}

/// The blocks as far as they could be read.
#[derive(Default)]
pub(super) struct Blocks {
    pub admin: Option<admin::Config>,
    pub process: Option<process::Config>,
    pub log: Option<telemetry::log::Config>,
    pub shutdown: Option<drain::Config>,
    pub defaults: Option<policy::Config>,
    pub listeners: BTreeMap<Name, listener::Config>,
    pub upstreams: BTreeMap<Name, upstream::Config>,
    pub routes: BTreeMap<Name, Route>,
    /// Every name that is in use, also of blocks that could not be read.
    pub listener_names: BTreeSet<String>,
    pub upstream_names: BTreeSet<String>,
}

/// Reads blocks and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    root: Node,
    sources: &'a [Source],
    /// The config as a whole, for what is wrong with no place in it.
    name: String,
    /// Part of the config could not be parsed or has no name: what is missing may be there.
    incomplete: bool,
    /// Paths of what was reported and passed over.
    removed: Vec<Vec<String>>,
    /// Keys that stand there under a slip of their name, and tables with a key that is not built yet: that
    /// something is missing there need not be told as well.
    excused: Vec<Vec<String>>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub fn new(root: Node, sources: &'a [Source], name: &str, incomplete: bool) -> Self {
        Reader {
            root,
            sources,
            name: name.to_owned(),
            incomplete,
            removed: Vec::new(),
            excused: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn blocks(&mut self) -> Blocks {
        self.root_keys();
        let mut blocks = Blocks {
            admin: self.block("admin"),
            process: self.block("process"),
            log: self.block("log"),
            shutdown: self.block("shutdown"),
            defaults: self.block("defaults"),
            ..Blocks::default()
        };
        blocks.listeners = self.named("listeners", Self::whole, &mut blocks.listener_names);
        blocks.upstreams = self.named("upstreams", Self::whole, &mut blocks.upstream_names);
        blocks.routes = self.named("routes", Self::route, &mut BTreeSet::new());
        blocks
    }

    /// Puts what the rooms found at its place. A problem that touches something already reported is only its
    /// echo.
    pub fn add(&mut self, problems: Problems) {
        for mut problem in problems.into_vec() {
            problem.at = self.root.as_written(&problem.at);
            for (path, _) in &mut problem.related {
                *path = self.root.as_written(path);
            }
            let echo = |removed: &Vec<String>| {
                removed.starts_with(&problem.at) || problem.at.starts_with(removed)
            };
            if !self.removed.iter().any(echo) {
                self.problems.push(self.at_its_place(problem));
            }
        }
    }

    /// Whether a part is missing, so that half a config would raise doubts that the whole one does not.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    fn root_keys(&mut self) {
        for key in keys_of(&self.root) {
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
        match self.root.child(key) {
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
        let Some(node) = self.root.child(key) else {
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
        let node = self.root.child(key);
        for text in node.map(keys_of).unwrap_or_default() {
            let name = text.parse::<Name>();
            if let Err(wrong) = &name {
                let error = de::Error::new(Kind::Other(wrong.clone()));
                let at = error.in_key(&text).under(key).arrived();
                self.problems.push(self.problem(&at));
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
        let Some(Value::Table(table)) = self.root.child(key).map(|node| &node.value) else {
            return;
        };
        // A header that makes a list of tables has a name, and only too many brackets.
        let is_table = |entry: &Entry| match entry.node.value {
            Value::Table(_) => true,
            _ => self.text(&entry.node.place).starts_with("[["),
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
            .filter(|(_, entry)| !is_table(entry) || self.text(&entry.node.place).starts_with('{'))
            .map(|(name, _)| [key.to_owned(), name.clone()])
            .collect();
        self.report(error);
        for path in own {
            self.remove(&path);
        }
        self.incomplete = true;
    }

    fn whole<T: DeserializeOwned>(&mut self, path: &[String]) -> Option<T> {
        let sources = self.sources;
        self.until_read(path, |node| de::read(node, sources))
    }

    /// A route's table holds three blocks. Each is read without the keys of the others; what none knows is
    /// unknown.
    fn route(&mut self, path: &[String]) -> Option<Route> {
        let known: [Cell<&[&str]>; 3] = Default::default();
        let [own, targets, others] = &known;
        let sources = self.sources;
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

    /// Tries until it works, each time without what was wrong the last time.
    fn until_read<T>(
        &mut self,
        path: &[String],
        read: impl Fn(&Node) -> Result<T, de::Error>,
    ) -> Option<T> {
        loop {
            let node = self.root.at(path)?;
            let mut error = match read(node) {
                Ok(block) => return Some(block),
                Err(error) => error,
            };
            error.path.splice(0..0, path.iter().cloned());
            if !self.pass_over(&error, path.len()) {
                return None;
            }
        }
    }

    /// Reports an error and takes its place out of the way. Answers whether something below the first `depth` keys
    /// was taken.
    fn pass_over(&mut self, error: &de::Error, depth: usize) -> bool {
        if let (Kind::UnknownKey { known, .. }, true, [table @ .., _]) =
            (&error.kind, error.at_key, error.path.as_slice())
            && !known.is_empty()
            && self.remove_unknown(table, known)
        {
            return true;
        }
        if !self.is_echo(error) {
            self.problems.push(self.problem(error));
        }
        if let (Kind::NotBuilt, [table @ .., _]) = (&error.kind, error.path.as_slice()) {
            self.excused.push(table.to_vec());
        }
        self.remove(&error.path)
            .is_some_and(|removed| removed.len() > depth)
    }

    /// All unknown keys of a table at once, so that a table of many is not read as often.
    fn remove_unknown(&mut self, table: &[String], known: &[&'static str]) -> bool {
        let unknown: Vec<_> = self
            .root
            .at(table)
            .map(keys_of)
            .unwrap_or_default()
            .into_iter()
            .filter(|key| !known.contains(&key.as_str()))
            .collect();
        let mut removed = false;
        for key in unknown {
            let error = de::Error {
                path: [table, std::slice::from_ref(&key)].concat(),
                at_key: true,
                ..de::Error::unknown_key(&key, known)
            };
            self.problems.push(self.problem(&error));
            removed |= self.remove(&error.path).is_some();
            if let Some(meant) = nearest(&key, known.iter().copied()) {
                self.excused.push([table, &[meant.to_owned()]].concat());
            }
        }
        removed
    }

    /// Whether it only says that something is missing which was passed over.
    fn is_echo(&self, error: &de::Error) -> bool {
        let gone = |path: &[String]| self.removed.iter().any(|removed| removed.starts_with(path));
        match error.kind {
            Kind::MissingKey(key) => {
                let missing = [error.path.as_slice(), &[key.to_owned()]].concat();
                let excused = [&missing, &error.path];
                self.incomplete
                    || gone(&missing)
                    || self.excused.iter().any(|path| excused.contains(&path))
            }
            _ => gone(&error.path),
        }
    }

    fn report(&mut self, error: de::Error) {
        let error = error.arrived();
        self.problems.push(self.problem(&error));
        self.remove(&error.path);
    }

    fn remove(&mut self, path: &[String]) -> Option<Vec<String>> {
        let removed = self.root.remove(path)?;
        self.removed.push(removed.clone());
        Some(removed)
    }

    fn problem(&self, error: &de::Error) -> Problem {
        let place = if error.at_key || matches!(error.kind, Kind::NotBuilt) {
            self.root.key_place(&error.path)
        } else {
            self.root.value_place(&error.path)
        };
        let secret = place.filter(|place| self.hides(place));
        let (message, help) = error.words(secret.is_some());
        let message = self.without_secret(message, &error.path);
        // The header of a list of tables, where one table was meant.
        let doubled = |place: &&Place| self.text(place).starts_with("[[");
        let help = match (&error.kind, place.filter(doubled)) {
            (Kind::Unfit { expected, .. }, Some(_)) if expected == "a table" => {
                Some("write its name in single brackets".to_owned())
            }
            _ => help,
        };
        Problem {
            help,
            key: error.path.join("."),
            ..self.at(place, message)
        }
    }

    /// What a room found, at the place that its keys lead to.
    fn at_its_place(&self, found: problem::Problem) -> Problem {
        let related = |(path, label): (Vec<String>, String)| {
            Some((self.root.key_place(&path)?.clone(), label))
        };
        let message = self.without_secret(found.message, &found.at);
        Problem {
            severity: found.severity,
            help: found.help,
            key: found.at.join("."),
            related: found.related.into_iter().filter_map(related).collect(),
            ..self.at(self.root.value_place(&found.at), message)
        }
    }

    /// `message`, where the text at `path` is a secret and stands in it, as it is or in escapes, without that.
    fn without_secret(&self, message: String, path: &[String]) -> String {
        match self.root.at(path) {
            Some(node) if self.hides(&node.place) => match &node.value {
                Value::Text(text) if !text.is_empty() => {
                    let escaped = text.escape_debug().to_string();
                    message
                        .replace(text.as_str(), "...")
                        .replace(&escaped, "...")
                }
                _ => message,
            },
            _ => message,
        }
    }

    fn hides(&self, place: &Place) -> bool {
        let source = self.sources.get(place.source);
        source.is_some_and(|source| source.hides(&place.span))
    }

    fn text(&self, place: &Place) -> &str {
        let source = self.sources.get(place.source);
        source
            .and_then(|source| source.text.get(place.span.clone()))
            .unwrap_or_default()
    }

    fn at(&self, place: Option<&Place>, message: String) -> Problem {
        match place {
            Some(place) => Problem::at(place.clone(), self.sources, message),
            None => Problem::of(self.name.clone(), message),
        }
    }
}

/// The keys that were not passed over.
fn keys_of(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Table(table) => table
            .iter()
            .filter(|(_, entry)| !entry.node.removed)
            .map(|(key, _)| key.clone())
            .collect(),
        _ => Vec::new(),
    }
}
