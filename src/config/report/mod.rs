//! Everything that is wrong with a config, shown where it is wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::Renderer;

use super::source::Source;
use crate::value::problem::Severity;

mod excerpt;
mod problem;

pub use problem::{Position, Problem};

/// Every problem of a config, in the order of its files.
///
/// `Display` shows it all, without colour. Secrets written in the lines shown are struck out.
#[derive(Clone)]
pub struct Report {
    problems: Vec<Problem>,
    sources: Arc<[Source]>,
    content: Content,
    watched: Arc<[PathBuf]>,
}

/// What tells two versions of a config apart: the same for the same files with the same content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Of the config's own files, in hexadecimal.
    pub hash: String,
    /// The files that they name, each with a fingerprint of its content. Not to be shown: some hold secrets.
    pub named: Arc<BTreeMap<PathBuf, u128>>,
    /// The secrets that stand in the config itself, by the keys that lead to them, each with a fingerprint that means
    /// nothing outside of this process.
    pub secrets: Arc<BTreeMap<String, u64>>,
    /// What was registered through the admin API: the names of its files, and the entity tag of each.
    pub registered: Arc<BTreeMap<String, String>>,
}

impl Report {
    /// Puts `problems`, which stand in `sources`, in the order of the files.
    pub(super) fn new(
        mut problems: Vec<Problem>,
        mut sources: Vec<Source>,
        content: Content,
        watched: &[PathBuf],
    ) -> Self {
        if !problems.is_empty() {
            sources.iter_mut().for_each(Source::strike_out);
        }
        problems.iter_mut().for_each(Problem::strike_out);
        // What concerns no line goes first. The sort is stable: problems at one place stay in their order.
        problems.sort_by_key(|p| p.place.as_ref().map(|at| (at.source, at.span.start)));
        problems.dedup_by(|a, b| a.place == b.place && a.file == b.file && a.message == b.message);
        Report {
            problems,
            sources: sources.into(),
            content,
            watched: watched.into(),
        }
    }

    pub fn problems(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.problems.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// How many problems keep the config from serving.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many do not.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// How much was not looked at.
    pub fn notes(&self) -> usize {
        self.count(Severity::Note)
    }

    /// The texts that it shows.
    pub(super) fn sources(&self) -> &Arc<[Source]> {
        &self.sources
    }

    /// What was read, so that a broken config need not be reported again and again.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The files whose change may mend it: all that were read or named.
    pub fn watched(&self) -> &[PathBuf] {
        &self.watched
    }

    /// The first problem that keeps the config from serving, or the first of all.
    pub fn first(&self) -> Option<&Problem> {
        let mut all = self.problems.iter();
        let error = all.find(|problem| problem.severity == Severity::Error);
        error.or(self.problems.first())
    }

    /// The first problem in one line, for a log: `routes.toml:12:3: unknown key ...`. Errors come before
    /// warnings; empty when there is nothing to tell.
    pub fn first_line(&self) -> String {
        match (self.first(), self.problems.len()) {
            (None, _) => String::new(),
            (Some(first), 1) => first.to_string(),
            (Some(first), count) => format!("{first} (and {} more)", count - 1),
        }
    }

    /// The whole report with colours for a terminal.
    pub fn coloured(&self) -> String {
        self.render(&Renderer::styled())
    }

    fn count(&self, severity: Severity) -> usize {
        let same = |problem: &&Problem| problem.severity == severity;
        self.problems.iter().filter(same).count()
    }

    fn render(&self, renderer: &Renderer) -> String {
        let rendered: Vec<_> = self
            .problems
            .iter()
            .map(|problem| renderer.render(&[problem.group(&self.sources)]))
            .collect();
        rendered.join("\n\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

/// As it is displayed, so that a test which unwraps shows it, and secrets stay out of panics.
impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Report {}
