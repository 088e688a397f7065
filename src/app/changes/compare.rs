//! The differences of two configs, key by key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Change, What};
use crate::config::{Config, Content};

/// The tables of which a config has one for each name.
const NAMED: &[&str] = &[
    "listeners",
    "upstreams",
    "brokers",
    "databases",
    "routes",
    "tcp_routes",
    "subscriptions",
    "relays",
];

/// A config as it is compared: as it is shown, without its secrets.
pub struct Compared {
    shown: Value,
    /// The files that it names, as they are shown, and fingerprints of their content.
    files: BTreeMap<String, u128>,
    secrets: BTreeMap<String, u64>,
}

impl Compared {
    /// Paths below `root` are shown from there, so that a config is like its copy in another directory.
    pub fn of(config: &Config, content: &Content, root: Option<&Path>) -> Self {
        let root = root.map(|root| format!("{}/", root.display()));
        let mut shown = json!(config);
        if let Some(root) = &root {
            shorten(&mut shown, root);
        }
        let files = content.named.iter().map(|(path, print)| {
            let path = path.display().to_string();
            (shortened(&path, root.as_deref()).to_owned(), *print)
        });
        Compared {
            shown,
            files: files.collect(),
            secrets: (*content.secrets).clone(),
        }
    }
}

fn shortened<'a>(path: &'a str, root: Option<&str>) -> &'a str {
    root.and_then(|root| path.strip_prefix(root))
        .unwrap_or(path)
}

fn shorten(value: &mut Value, root: &str) {
    match value {
        Value::String(text) => {
            let (before, path) = match text.strip_prefix("unix:") {
                Some(path) => ("unix:", path),
                None => ("", text.as_str()),
            };
            if let Some(short) = path.strip_prefix(root) {
                *text = format!("{before}{short}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, root)),
        Value::Object(entries) => entries.values_mut().for_each(|item| shorten(item, root)),
        _ => {}
    }
}

/// What is different, in the order of the config's tables.
pub fn compare([old, new]: &[Compared; 2]) -> Vec<Change> {
    let mut found = Found(Vec::new());
    found.values(&mut Vec::new(), &old.shown, &new.shown);
    for (key, print) in &new.secrets {
        if old.secrets.get(key).is_some_and(|before| before != print) {
            let path: Vec<String> = key.split('.').map(str::to_owned).collect();
            found.add(&path, What::Secret);
        }
    }
    let mut named = Vec::new();
    for (file, print) in &new.files {
        if old.files.get(file).is_some_and(|before| before != print) {
            find(&new.shown, file, &mut Vec::new(), &mut named);
            if named.is_empty() {
                named.push(vec!["files".to_owned(), file.clone()]);
            }
            for path in named.drain(..) {
                found.add(&path, What::File);
            }
        }
    }
    let order: Vec<&String> = new
        .shown
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    let place = |change: &Change| {
        let table = change.path.first();
        order.iter().position(|key| Some(*key) == table)
    };
    found.0.sort_by_cached_key(|change| {
        (
            place(change).unwrap_or(usize::MAX),
            change.path.get(1).cloned(),
        )
    });
    found.0
}

/// The keys under which `text` stands.
fn find(value: &Value, text: &str, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match value {
        Value::String(here) if here == text => found.push(path.clone()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                find(item, text, path, found);
                path.pop();
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                path.push(key.clone());
                find(item, text, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

struct Found(Vec<Change>);

impl Found {
    fn add(&mut self, path: &[String], what: What) {
        self.0.push(Change {
            path: path.to_vec(),
            what,
            place: None,
        });
    }

    fn values(&mut self, path: &mut Vec<String>, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(old), Value::Object(new)) => self.tables(path, old, new),
            (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
                for (index, (old, new)) in old.iter().zip(new).enumerate() {
                    path.push(index.to_string());
                    self.values(path, old, new);
                    path.pop();
                }
            }
            (old, new) if old == new => {}
            (Value::Null, new) => self.add(path, What::Added(new.clone())),
            (old, Value::Null) => self.add(path, What::Removed(old.clone())),
            (old, new) => self.add(path, What::Changed(old.clone(), new.clone())),
        }
    }

    fn tables(
        &mut self,
        path: &mut Vec<String>,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) {
        // What takes one of several forms is another thing with another key.
        let form = |table: &Map<String, Value>| match table.keys().next() {
            Some(key) if table.len() == 1 => Some(key.clone()),
            _ => None,
        };
        let is_table_of_names =
            matches!(path.as_slice(), [table] if NAMED.contains(&table.as_str()));
        if let (Some(a), Some(b)) = (form(old), form(new))
            && a != b
            && !is_table_of_names
        {
            let (old, new) = (Value::Object(old.clone()), Value::Object(new.clone()));
            return self.add(path, What::Changed(old, new));
        }
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            path.push(key.clone());
            let nothing = Value::Null;
            let of = |table: &'_ Map<String, Value>| table.get(key).cloned();
            let (old, new) = (of(old), of(new));
            self.values(
                path,
                old.as_ref().unwrap_or(&nothing),
                new.as_ref().unwrap_or(&nothing),
            );
            path.pop();
        }
    }
}
