//! A config as it was written: every key and value with the place where it stands.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A piece of one source file, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file among those that were read.
    pub source: usize,
    pub span: Range<usize>,
}

/// The entries of a table, by key.
pub(super) type Table = BTreeMap<String, Entry>;

/// One key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: Place,
    pub node: Node,
}

/// A value and where it stands. A table that has a header stands at its header.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
    /// Reported as wrong and passed over from then on, so that what follows it can be looked at as well.
    pub removed: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// `None`: more than 128 bits.
    Integer(Option<i128>),
    Float(f64),
    Boolean(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Turns what the parser found in file number `source` into a tree.
pub(super) fn table(parsed: DeTable<'_>, source: usize) -> Table {
    parsed
        .into_iter()
        .map(|(key, value)| {
            let place = Place {
                source,
                span: key.span(),
            };
            let entry = Entry {
                key: place,
                node: node(value, source),
            };
            (key.into_inner().into_owned(), entry)
        })
        .collect()
}

fn node(parsed: Spanned<DeValue<'_>>, source: usize) -> Node {
    let place = Place {
        source,
        span: parsed.span(),
    };
    let value = match parsed.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(digits) => Value::Integer(integer(&digits)),
        // The parser has checked the form; what overflows becomes infinite and is refused by its range.
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.into_iter().map(|n| node(n, source)).collect()),
        DeValue::Table(entries) => Value::Table(table(entries, source)),
    };
    Node {
        place,
        value,
        removed: false,
    }
}

fn integer(digits: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(digits.as_str(), digits.radix()).ok()
}

impl Default for Node {
    /// An empty config.
    fn default() -> Self {
        Node {
            place: Place {
                source: 0,
                span: 0..0,
            },
            value: Value::Table(Table::new()),
            removed: false,
        }
    }
}

impl Node {
    /// The entry or element under `key`.
    pub fn child(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Table(table) => table.get(key).map(|entry| &entry.node),
            Value::List(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The entry or element that `path` leads to.
    pub fn at(&self, path: &[String]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    fn child_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Table(table) => table.get_mut(key).map(|entry| &mut entry.node),
            Value::List(items) => items.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// Where the key stands that `path` ends with; the value, when it is an element of a list. What does not
    /// exist is said to stand where the nearest above it does, unless that is this node.
    pub fn key_place(&self, path: &[String]) -> Option<&Place> {
        let (key, above) = path.split_last()?;
        let (parent, depth) = self.nearest(above);
        let entry = match &parent.value {
            Value::Table(table) if depth == above.len() => table.get(key),
            _ => None,
        };
        match entry {
            Some(entry) => Some(&entry.key),
            None => self.value_place(path),
        }
    }

    /// Where the value at `path` stands, or the nearest above it that exists, unless that is this node.
    pub fn value_place(&self, path: &[String]) -> Option<&Place> {
        match self.nearest(path) {
            (_, 0) => None,
            (node, _) => Some(&node.place),
        }
    }

    /// Passes over what stands at `path`, or the nearest above it that exists, from now on. Tells which that
    /// was; `None`: nothing is left but the node itself, or it was passed over before.
    pub fn remove(&mut self, path: &[String]) -> Option<Vec<String>> {
        let depth = self.nearest(path).1;
        let path = &path[..depth];
        let mut node = self;
        for key in path {
            node = node.child_mut(key)?;
        }
        let fresh = !path.is_empty() && !node.removed;
        node.removed = true;
        fresh.then(|| path.to_vec())
    }

    /// A path into what was read, as a path into this tree: there, elements of lists that were passed over count too.
    pub fn as_written(&self, path: &[String]) -> Vec<String> {
        let mut written = Vec::with_capacity(path.len());
        let mut node = Some(self);
        for key in path {
            let mut key = key.clone();
            if let Some(Value::List(items)) = node.map(|node| &node.value) {
                let mut read = items.iter().enumerate().filter(|(_, item)| !item.removed);
                if let Some((index, _)) = key.parse().ok().and_then(|nth| read.nth(nth)) {
                    key = index.to_string();
                }
            }
            node = node.and_then(|node| node.child(&key));
            written.push(key);
        }
        written
    }

    /// What the value is, in words.
    pub fn words(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "text",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "`true` or `false`",
            Value::Date => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The deepest node on the way to `path`, and how many keys lead to it.
    fn nearest(&self, path: &[String]) -> (&Node, usize) {
        let mut node = self;
        for (depth, key) in path.iter().enumerate() {
            match node.child(key) {
                Some(child) => node = child,
                None => return (node, depth),
            }
        }
        (node, path.len())
    }
}
