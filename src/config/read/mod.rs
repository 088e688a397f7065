//! From the tree to the blocks, past every problem on the way.

use serde::de::DeserializeOwned;

use super::de::{self, Kind};
use super::report::Problem;
use super::source::Source;
use super::suggest::nearest;
use super::tree::{Node, Value};
use crate::value::problem::Problems;

mod blocks;
mod document;

pub(super) use blocks::{Blocks, Route};
use document::Document;

/// Reads blocks and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    document: Document<'a>,
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
            document: Document {
                root,
                sources,
                name: name.to_owned(),
            },
            incomplete,
            removed: Vec::new(),
            excused: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Puts what the rooms found at its place. A problem that touches something already reported is only its
    /// echo.
    pub fn add(&mut self, problems: Problems) {
        for mut problem in problems.into_vec() {
            problem.at = self.document.root.as_written(&problem.at);
            for (path, _) in &mut problem.related {
                *path = self.document.root.as_written(path);
            }
            let echo = |removed: &Vec<String>| {
                removed.starts_with(&problem.at) || problem.at.starts_with(removed)
            };
            if !self.removed.iter().any(echo) {
                self.problems.push(self.document.at_its_place(problem));
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

    /// The config as it is written.
    pub fn root(&self) -> &Node {
        &self.document.root
    }

    /// What is wrong, and the config as it is written.
    pub fn into_parts(self) -> (Vec<Problem>, Node) {
        (self.problems, self.document.root)
    }

    fn whole<T: DeserializeOwned>(&mut self, path: &[String]) -> Option<T> {
        let sources = self.document.sources;
        self.until_read(path, |node| de::read(node, sources))
    }

    /// Tries until it works, each time without what was wrong the last time.
    fn until_read<T>(
        &mut self,
        path: &[String],
        read: impl Fn(&Node) -> Result<T, de::Error>,
    ) -> Option<T> {
        loop {
            let node = self.document.root.at(path)?;
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
            self.problems.push(self.document.problem(error));
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
            .document
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
            self.problems.push(self.document.problem(&error));
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
        self.problems.push(self.document.problem(&error));
        self.remove(&error.path);
    }

    fn remove(&mut self, path: &[String]) -> Option<Vec<String>> {
        let removed = self.document.root.remove(path)?;
        self.removed.push(removed.clone());
        Some(removed)
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
