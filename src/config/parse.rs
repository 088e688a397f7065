//! From text to one tree for the whole config.

use std::collections::btree_map;

use toml::de::DeTable;

use super::report::Problem;
use super::source::Source;
use super::syntax;
use super::tree::{self, Node, Place, Table, Value};

/// The root tables that hold one table for each name; files may share them, but not a name in them.
const NAMED: &[&str] = &["listeners", "upstreams", "routes"];

/// The tree of all files, and what is wrong with their form.
pub(super) struct Parsed {
    pub root: Node,
    pub problems: Vec<Problem>,
    pub broken: Broken,
}

/// Where the files do not parse: what else is found there is likely to be nonsense.
#[derive(Default)]
pub(super) struct Broken(Vec<Place>);

impl Broken {
    pub fn holds(&self, place: &Place) -> bool {
        let at = place.span.start;
        let holds = |b: &Place| b.source == place.source && b.span.contains(&at);
        self.0.iter().any(holds)
    }
}

pub(super) fn parse(sources: &[Source]) -> Parsed {
    let mut parser = Parser {
        sources,
        problems: Vec::new(),
        broken: Broken::default(),
    };
    let mut root = Table::new();
    for (index, source) in sources.iter().enumerate() {
        let table = parser.file(index, source);
        parser.merge(&mut root, table);
    }
    let place = Place {
        source: 0,
        span: 0..0,
    };
    Parsed {
        root: Node {
            place,
            value: Value::Table(root),
            removed: false,
        },
        problems: parser.problems,
        broken: parser.broken,
    }
}

struct Parser<'a> {
    sources: &'a [Source],
    problems: Vec<Problem>,
    broken: Broken,
}

impl Parser<'_> {
    fn file(&mut self, index: usize, source: &Source) -> Table {
        if let Some(at) = source.not_text_at {
            let place = Place {
                source: index,
                span: at..at + 1,
            };
            let problem = Problem::at(place, self.sources, "this file is not UTF-8 text");
            self.problems.push(problem.help("save it as UTF-8"));
            return Table::new();
        }
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let table = tree::table(table.into_inner(), index);
        if !errors.is_empty() {
            let at = |span| Place {
                source: index,
                span,
            };
            if let Some((language, first)) = syntax::other_language(&source.text) {
                let problem = Problem::at(
                    at(first),
                    self.sources,
                    format!("this looks like {language}, and a config is written in TOML"),
                );
                self.problems.push(problem.help(
                    "write tables as `[listeners.web]` and, below them, lines as `listen = \"127.0.0.1:15001\"`",
                ));
                self.broken.0.push(at(0..source.text.len() + 1));
                return table;
            }
            let found = syntax::judge(self.sources, index, &errors, &table);
            self.problems.extend(found.problems);
            self.broken.0.extend(found.broken);
        }
        table
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
        let problem = Problem::at(second.place.clone(), self.sources, message);
        self.problems.push(Problem {
            related: vec![(first.place.clone(), "first named here".to_owned())],
            ..problem.help("keep one of them, or give one another name")
        });
    }
}
