//! What the TOML parser says, in words that help, and without what only follows from it.

use std::ops::Range;

use toml::de::Error;
use toml_parser::parser::{RecursionGuard, parse_document};

use super::report::Problem;
use super::source::Source;
use super::tree::{Place, Table};

mod other;
mod twice;
mod words;

pub(super) use other::other_language;

/// What does not parse in one file.
pub(super) struct Found {
    pub problems: Vec<Problem>,
    /// Pieces of the text of which the parser had to guess the meaning.
    pub broken: Vec<Place>,
}

/// Sorts out `errors`, which the parser found in file number `index` while it made `table` of what it understood.
pub(super) fn judge(sources: &[Source], index: usize, errors: &[Error], table: &Table) -> Found {
    let text = sources.get(index).map_or("", |source| &source.text);
    let at = |span| Place {
        source: index,
        span,
    };
    let mut found = Found {
        problems: Vec::new(),
        broken: Vec::new(),
    };
    let opening = unclosed(text);
    if let Some(opening) = &opening {
        let (message, help) = never_closed(text, opening);
        let problem = Problem::at(at(opening.clone()), sources, message);
        found.problems.push(problem.help(help));
        // All that follows was taken for its content.
        found.broken.push(at(opening.start..text.len() + 1));
    }
    for error in errors {
        let end = text.len();
        let span = error.span().unwrap_or(end..end);
        let line = line_at(text, span.start);
        let inside = opening.as_ref().is_some_and(|o| o.start <= span.start);
        let mut places = found.problems.iter().filter_map(|told| told.place.as_ref());
        let told = places.any(|place| line.contains(&place.span.start));
        let mut broken = found.broken.iter();
        let echo =
            error.message() == DUPLICATE && broken.any(|broken| broken.span.contains(&span.start));
        if !inside && !told && !echo {
            found.broken.push(at(guessed(text, &line)));
            let first = match error.message() {
                DUPLICATE => twice::first_place(text, &span, table),
                _ => None,
            };
            let first = first.map(|first| (at(first), "first set here".to_owned()));
            let (message, help) = words::in_words(text, &span, error.message());
            found.problems.push(Problem {
                help,
                related: Vec::from_iter(first),
                ..Problem::at(at(span), sources, message)
            });
        }
    }
    found
}

const DUPLICATE: &str = "duplicate key";

/// As deep as the `toml` crate goes.
const MAX_DEPTH: u32 = 80;

/// The bracket or brace that is still open at the end, the outermost of several.
fn unclosed(text: &str) -> Option<Range<usize>> {
    let tokens = toml_parser::Source::new(text).lex().into_vec();
    let mut errors = Vec::new();
    parse_document(
        &tokens,
        &mut RecursionGuard::new(&mut (), MAX_DEPTH),
        &mut errors,
    );
    errors
        .iter()
        .filter(|e| matches!(e.description(), "unclosed array" | "unclosed inline table"))
        .filter_map(|e| e.context())
        .map(|span| span.start()..span.end())
        .min_by_key(|span| span.start)
}

/// What is wrong where something is opened and not closed, and how to mend it.
fn never_closed(text: &str, opening: &Range<usize>) -> (String, String) {
    let (bracket, closing) = match text.get(opening.clone()) {
        Some("{") => ("{", "}"),
        _ => ("[", "]"),
    };
    (
        format!("this `{bracket}` is never closed"),
        format!("end what it begins with `{closing}`"),
    )
}

/// The line that holds `at`, with its newline.
fn line_at(text: &str, at: usize) -> Range<usize> {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |newline| at + newline);
    start..end + 1
}

/// What a problem in `line` makes doubtful: the line, and below the name of a table all that stands in it.
fn guessed(text: &str, line: &Range<usize>) -> Range<usize> {
    if !is_header(text.get(line.start..).unwrap_or_default()) {
        return line.clone();
    }
    let mut end = line.end;
    while let Some(rest) = text
        .get(end..)
        .filter(|rest| !rest.is_empty() && !is_header(rest))
    {
        end += rest.find('\n').map_or(rest.len(), |newline| newline + 1);
    }
    line.start..end.max(line.end)
}

/// Whether `text` begins with a line such as `[routes.a]`.
fn is_header(text: &str) -> bool {
    text.trim_start_matches([' ', '\t']).starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::super::files::Files;
    use super::*;
    use toml::de::DeTable;

    fn judged(text: &str) -> Vec<Problem> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let table = super::super::tree::table(table.into_inner(), 0);
        let sources = Files::from_text("x.toml", text).sources;
        judge(&sources, 0, &errors, &table).problems
    }

    fn told(text: &str) -> Vec<(usize, String)> {
        let start = |problem: &Problem| problem.place.as_ref().unwrap().span.start;
        let found = judged(text).into_iter();
        found.map(|p| (start(&p), p.message)).collect()
    }

    #[test]
    fn what_is_never_closed_is_told_once_where_it_opens() {
        for (text, at) in [
            ("a = [1\n[b]\nc = 1\nd = []\n", 4),
            ("a = { b = 1\nc = \"x\"\n[d]\n", 4),
            ("a = [{ b = [\n", 4),
        ] {
            let told = told(text);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].0, at);
            assert!(told[0].1.ends_with("is never closed"));
        }
        assert_eq!(told("x = y\na = [\n").len(), 2);
    }

    #[test]
    fn a_line_has_one_problem_and_a_table_named_twice_too() {
        assert_eq!(told("a: b: c\n[d]\ne = [\"x\" \"y\" z]\n").len(), 2);
        assert_eq!(told("[a]\nb = 1\n[a]\nb = 1\nc = 1\n").len(), 1);
        assert_eq!(told("[a]\nb = 1\n[a]\nb = x\n").len(), 2);
    }

    #[test]
    fn the_first_place_is_found() {
        let first = |text: &str| {
            let related = judged(text).remove(0).related;
            related.into_iter().next().map(|(place, _)| place.span)
        };
        assert_eq!(first("[a.b]\n[c]\n[a.b]\n"), Some(0..5));
        assert_eq!(first("[a]\nb = 1\n[c]\nb = 1\nb = 2\n"), Some(14..15));
        assert_eq!(first("b = 1\n\"b\" = 2\n"), Some(0..1));
        assert_eq!(first("[a]\nb = { c = 1, c = 2 }\n"), None);
        assert_eq!(first("[a.b]\nc = 1\n[[a.b]]\nc = 2\n"), Some(0..5));
        assert_eq!(first("[[a.b]]\nc = 1\n[a.b]\nc = 2\n"), Some(0..7));
        assert_eq!(first("[a]\nb = { c = 1 }\n[[a.b]]\nc = 2\n"), Some(4..5));
    }
}
