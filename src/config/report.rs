//! What is wrong with a config, shown where it is wrong.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::files::{Source, boundary};
use super::redact;
use super::tree::Place;
use crate::value::problem::Severity;

/// Everything that was found wrong or doubtful in a config, in the order of its files.
///
/// `Display` shows it all, without colour. Secrets written in the lines shown are struck out.
#[derive(Clone)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    sources: Arc<[Source]>,
    content: Content,
    watched: Arc<[PathBuf]>,
}

/// What tells two versions of a config apart: the same for the same files with the same content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Of the config's own files, in hexadecimal.
    pub hash: String,
    /// Of the files that they name. Not to be shown: some hold secrets.
    pub named: u128,
}

/// One mistake or doubt.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The file, or the path of the whole config when it concerns no place in it.
    pub file: String,
    /// Where in the file; `None`: the file or the config as a whole.
    pub position: Option<Position>,
    /// The key that it is about, with those above it: `routes.pay.timeout`. Empty: the config as a whole.
    pub key: String,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    place: Option<Place>,
    related: Vec<(Place, String)>,
}

/// A line and a column, both counted from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Report {
    pub fn diagnostics(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.diagnostics.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// How many mistakes keep the config from serving.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many doubts there are.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    /// What was read, so that a broken config need not be reported again and again.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The files whose change may mend it: all that were read or named.
    pub fn watched(&self) -> &[PathBuf] {
        &self.watched
    }

    /// The first finding that keeps the config from serving, or the first of all.
    pub fn first(&self) -> Option<&Diagnostic> {
        let mut all = self.diagnostics.iter();
        let error = all.find(|d| d.severity == Severity::Error);
        error.or(self.diagnostics.first())
    }

    /// The first finding in one line, for a log: `routes.toml:12:3: unknown key ...`. Errors come before
    /// warnings; empty when there is nothing to tell.
    pub fn first_line(&self) -> String {
        match (self.first(), self.diagnostics.len()) {
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
        let same = |d: &&Diagnostic| d.severity == severity;
        self.diagnostics.iter().filter(same).count()
    }

    fn render(&self, renderer: &Renderer) -> String {
        let rendered: Vec<_> = self
            .diagnostics
            .iter()
            .map(|d| renderer.render(&[d.group(&self.sources)]))
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

/// `file:line:column: message`
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Diagnostic {
    /// The key, unless it is about the config as a whole.
    pub fn named_key(&self) -> Option<&str> {
        (!self.key.is_empty()).then_some(self.key.as_str())
    }

    fn group<'a>(&'a self, sources: &'a [Source]) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*self.message));
        group = match self.place.as_ref().and_then(|p| excerpt(p, sources)) {
            Some(snippet) => {
                let snippets = self.with_related(snippet, sources);
                group.elements(snippets)
            }
            None => group.element(Origin::path(&*self.file)),
        };
        match &self.help {
            Some(help) => group.element(Level::HELP.message(&**help)),
            None => group,
        }
    }

    /// Related places in the same file go into the same excerpt.
    fn with_related<'a>(
        &'a self,
        first: Snippet<'a, annotate_snippets::Annotation<'a>>,
        sources: &'a [Source],
    ) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let home = self.place.as_ref().map(|place| place.source);
        let mut snippets = vec![first];
        for (place, label) in &self.related {
            let Some(source) = sources.get(place.source) else {
                continue;
            };
            let annotation = AnnotationKind::Context
                .span(within(source, &place.span))
                .label(label.as_str());
            match (Some(place.source) == home, snippets.first_mut()) {
                (true, Some(first)) => *first = first.clone().annotation(annotation),
                _ => snippets.push(snippet(source).annotation(annotation)),
            }
        }
        snippets
    }
}

fn excerpt<'a>(
    place: &Place,
    sources: &'a [Source],
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let source = sources.get(place.source)?;
    Some(snippet(source).annotation(AnnotationKind::Primary.span(within(source, &place.span))))
}

fn snippet(source: &Source) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(source.shown()).path(&*source.name)
}

/// The span on the boundaries of characters, which the renderer insists on, and on one line: a table that
/// spans many would be shown whole.
fn within(source: &Source, span: &Range<usize>) -> Range<usize> {
    let text = source.shown();
    let start = boundary(text, span.start);
    let end = boundary(text, span.end).max(start);
    let line_end = text[start..end].find('\n').map_or(end, |at| start + at);
    start..line_end
}

/// A finding that does not know its lines yet.
#[derive(Debug)]
pub(super) struct Finding {
    pub severity: Severity,
    pub at: At,
    pub message: String,
    pub help: Option<String>,
    pub related: Vec<(Place, String)>,
    /// The keys that lead there, where it is about a key.
    pub keys: Vec<String>,
}

/// What a finding is about.
#[derive(Clone, Debug)]
pub(super) enum At {
    Place(Place),
    /// A file, or the config as a whole.
    File(String),
}

impl Finding {
    pub fn error(at: At, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            at,
            message: message.into(),
            help: None,
            related: Vec::new(),
            keys: Vec::new(),
        }
    }

    pub fn warning(at: At, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(at, message)
        }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Puts findings in the order of the files, and gives them lines.
pub(super) fn report(
    findings: Vec<Finding>,
    mut sources: Vec<Source>,
    content: Content,
    watched: &[PathBuf],
) -> Report {
    if !findings.is_empty() {
        sources.iter_mut().for_each(Source::strike_out);
    }
    let mut diagnostics: Vec<_> = findings
        .into_iter()
        .map(|finding| diagnostic(finding, &sources))
        .collect();
    // What concerns no line goes first. The sort is stable: findings at one place stay in their order.
    diagnostics.sort_by_key(|d| d.place.as_ref().map(|p| (p.source, p.span.start)));
    diagnostics.dedup_by(|a, b| a.place == b.place && a.file == b.file && a.message == b.message);
    Report {
        diagnostics,
        sources: sources.into(),
        content,
        watched: watched.into(),
    }
}

fn diagnostic(finding: Finding, sources: &[Source]) -> Diagnostic {
    let (file, place) = match finding.at {
        At::Place(place) => (None, Some(place)),
        At::File(file) => (Some(file), None),
    };
    let source = place.as_ref().and_then(|place| sources.get(place.source));
    let position = source.zip(place.as_ref()).map(|(source, place)| {
        let (line, column) = source.position(place.span.start);
        Position { line, column }
    });
    Diagnostic {
        severity: finding.severity,
        file: file
            .or_else(|| source.map(|source| source.name.clone()))
            .unwrap_or_default(),
        position,
        key: finding.keys.join("."),
        message: redact::sentence(finding.message),
        help: finding.help.map(redact::sentence),
        place,
        related: finding.related,
    }
}
