//! From text to one tree for the whole config.

use std::collections::BTreeMap;
use std::collections::btree_map;

use toml::de::DeTable;

use super::files::Source;
use super::report::{At, Finding};
use super::syntax::{self, Slips};
use super::tree::{self, Node, Place, Table, Value};

/// The root tables that hold one table for each name; files may share them, but not a name in them.
const NAMED: &[&str] = &["listeners", "upstreams", "routes"];

/// The tree of all files, and what is wrong with their form.
pub(super) struct Parsed {
    pub root: Node,
    pub findings: Vec<Finding>,
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
        broken: Broken::default(),
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
            let place = Place {
                source: index,
                span: at..at + 1,
            };
            let finding = Finding::error(At::Place(place), "this file is not UTF-8 text")
                .help("save it as UTF-8");
            self.findings.push(finding);
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
                let finding = Finding::error(
                    At::Place(at(first)),
                    format!("this looks like {language}, and a config is written in TOML"),
                );
                self.findings.push(finding.help(
                    "write tables as `[listeners.web]` and, below them, lines as `listen = \"127.0.0.1:15001\"`",
                ));
                self.broken.0.push(at(0..source.text.len() + 1));
                return table;
            }
            let Slips { slips, broken } = syntax::slips(&source.text, &errors, &table);
            let findings = slips.into_iter().map(|slip| Finding {
                help: slip.help,
                related: Vec::from_iter(
                    slip.first.map(|first| (at(first), "first set here".into())),
                ),
                ..Finding::error(At::Place(at(slip.span)), slip.message)
            });
            self.findings.extend(findings);
            self.broken.0.extend(broken.into_iter().map(at));
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
        let mut finding = Finding::error(At::Place(second.place.clone()), message)
            .help("keep one of them, or give one another name");
        finding
            .related
            .push((first.place.clone(), "first named here".to_owned()));
        self.findings.push(finding);
    }
}
