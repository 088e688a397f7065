//! A problem as it is shown: its message over the lines where it stands, and its help below them.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Snippet};

use super::super::source::{Source, boundary};
use super::super::tree::Place;
use super::Problem;
use crate::value::problem::Severity;

impl Problem {
    pub(super) fn group<'a>(&'a self, sources: &'a [Source]) -> Group<'a> {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
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
        first: Snippet<'a, Annotation<'a>>,
        sources: &'a [Source],
    ) -> Vec<Snippet<'a, Annotation<'a>>> {
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

fn excerpt<'a>(place: &Place, sources: &'a [Source]) -> Option<Snippet<'a, Annotation<'a>>> {
    let source = sources.get(place.source)?;
    Some(snippet(source).annotation(AnnotationKind::Primary.span(within(source, &place.span))))
}

fn snippet(source: &Source) -> Snippet<'_, Annotation<'_>> {
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
