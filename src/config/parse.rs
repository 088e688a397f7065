//! From text to one tree for the whole config.

use std::collections::BTreeMap;
use std::collections::btree_map;

use toml::de::DeTable;

use super::files::Source;
use super::report::{At, Finding};
use super::tree::{self, Node, Place, Table, Value};

/// The root tables that hold one table for each name; files may share them, but not a name in them.
const NAMED: &[&str] = &["listeners", "upstreams", "routes"];

/// The tree of all files, and what is wrong with their form.
pub(super) struct Parsed {
    pub root: Node,
    pub findings: Vec<Finding>,
    /// Lines that do not parse, by file: what else is found on them is likely to be nonsense.
    pub broken_lines: Vec<(usize, usize)>,
}

pub(super) fn parse(sources: &[Source]) -> Parsed {
    let mut parsed = Parsed {
        root: Node {
            place: Place {
                source: 0,
                span: 0..0,
            },
            value: Value::Table(BTreeMap::new()),
            removed: false,
        },
        findings: Vec::new(),
        broken_lines: Vec::new(),
    };
    let mut root = Table::new();
    for (index, source) in sources.iter().enumerate() {
        let table = parsed.file(index, source);
        parsed.merge(&mut root, table);
    }
    parsed.root.value = Value::Table(root);
    parsed
}

impl Parsed {
    fn file(&mut self, index: usize, source: &Source) -> Table {
        if let Some(at) = source.not_text_at {
            self.broken(index, source, at..at + 1, "this file is not UTF-8 text");
            return Table::new();
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        for error in errors {
            let end = source.text.len();
            let span = error.span().unwrap_or(end..end);
            self.broken(index, source, span, error.message());
        }
        tree::table(table.into_inner(), index)
    }

    fn broken(
        &mut self,
        index: usize,
        source: &Source,
        span: std::ops::Range<usize>,
        message: &str,
    ) {
        self.broken_lines
            .push((index, source.position(span.start).0));
        let place = Place {
            source: index,
            span,
        };
        self.findings.push(match message {
            "duplicate key" => {
                Finding::error(At::Place(place), "this is set before in the same file")
                    .help("keep one of them")
            }
            message => Finding::error(At::Place(place), message),
        });
    }

    fn merge(&mut self, root: &mut Table, file: Table) {
        for (key, entry) in file {
            match root.entry(key) {
                btree_map::Entry::Vacant(free) => {
                    free.insert(entry);
                }
                btree_map::Entry::Occupied(taken) => {
                    let key = taken.key().clone();
                    match (&mut taken.into_mut().node, entry.node) {
                        (
                            Node {
                                value: Value::Table(first),
                                ..
                            },
                            Node {
                                value: Value::Table(second),
                                ..
                            },
                        ) if NAMED.contains(&key.as_str()) => self.merge_names(&key, first, second),
                        (first, second) => self.twice(&key, first, &second),
                    }
                }
            }
        }
    }

    fn merge_names(&mut self, key: &str, first: &mut Table, second: Table) {
        for (name, entry) in second {
            match first.entry(name) {
                btree_map::Entry::Vacant(free) => {
                    free.insert(entry);
                }
                btree_map::Entry::Occupied(taken) => {
                    let title = format!("{key}.{}", taken.key());
                    self.twice(&title, &taken.get().node, &entry.node);
                }
            }
        }
    }

    fn twice(&mut self, title: &str, first: &Node, second: &Node) {
        let message = format!("`[{title}]` is in two files");
        let mut finding = Finding::error(At::Place(second.place.clone()), message)
            .help("keep one of them, or give one another name");
        finding
            .related
            .push((first.place.clone(), "first named here".to_owned()));
        self.findings.push(finding);
    }
}
