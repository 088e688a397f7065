//! What the TOML parser says, in words that help, and without what only follows from it.

use std::ops::Range;

use toml::de::Error;
use toml_parser::Source;
use toml_parser::parser::{RecursionGuard, parse_document};

use super::tree::Table;

mod other;
mod twice;
mod words;

pub(super) use other::other_language;

/// What does not parse in one file.
pub(super) struct Slips {
    pub slips: Vec<Slip>,
    /// Pieces of the text of which the parser had to guess the meaning.
    pub broken: Vec<Range<usize>>,
}

#[derive(Debug)]
pub(super) struct Slip {
    pub span: Range<usize>,
    pub message: String,
    pub help: Option<String>,
    /// Where the same key stands for the first time.
    pub first: Option<Range<usize>>,
}

/// Sorts out `errors`, which the parser found in `text` while it made `table` of what it understood.
pub(super) fn slips(text: &str, errors: &[Error], table: &Table) -> Slips {
    let mut found = Slips {
        slips: Vec::new(),
        broken: Vec::new(),
    };
    let opening = unclosed(text);
    if let Some(opening) = &opening {
        found.slips.push(never_closed(text, opening.clone()));
        // All that follows was taken for its content.
        found.broken.push(opening.start..text.len() + 1);
    }
    for error in errors {
        let end = text.len();
        let span = error.span().unwrap_or(end..end);
        let line = line_at(text, span.start);
        let inside = opening.as_ref().is_some_and(|o| o.start <= span.start);
        let told = found
            .slips
            .iter()
            .any(|slip| line.contains(&slip.span.start));
        let echo = error.message() == DUPLICATE
            && found
                .broken
                .iter()
                .any(|broken| broken.contains(&span.start));
        if !inside && !told && !echo {
            found.broken.push(guessed(text, &line));
            found.slips.push(slip(text, span, error.message(), table));
        }
    }
    found
}

const DUPLICATE: &str = "duplicate key";

/// As deep as the `toml` crate goes.
const MAX_DEPTH: u32 = 80;

/// The bracket or brace that is still open at the end, the outermost of several.
fn unclosed(text: &str) -> Option<Range<usize>> {
    let tokens = Source::new(text).lex().into_vec();
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

fn never_closed(text: &str, opening: Range<usize>) -> Slip {
    let (bracket, closing) = match text.get(opening.clone()) {
        Some("{") => ("{", "}"),
        _ => ("[", "]"),
    };
    Slip {
        span: opening,
        message: format!("this `{bracket}` is never closed"),
        help: Some(format!("end what it begins with `{closing}`")),
        first: None,
    }
}

/// The line that holds `at`, with its newline.
fn line_at(text: &str, at: usize) -> Range<usize> {
    let before = text.get(..at).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find('\n').map_or(text.len(), |newline| at + newline);
    start..end + 1
}

/// What a mistake in `line` makes doubtful: the line, and below the name of a table all that stands in it.
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

fn slip(text: &str, span: Range<usize>, what: &str, table: &Table) -> Slip {
    let first = match what {
        DUPLICATE => twice::first_place(text, &span, table),
        _ => None,
    };
    let (message, help) = words::in_words(text, &span, what);
    Slip {
        span,
        message,
        help,
        first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    fn told(text: &str) -> Vec<(usize, String)> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let table = super::super::tree::table(table.into_inner(), 0);
        let found = slips(text, &errors, &table).slips;
        found
            .into_iter()
            .map(|s| (s.span.start, s.message))
            .collect()
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
    fn a_line_has_one_slip_and_a_table_named_twice_too() {
        assert_eq!(told("a: b: c\n[d]\ne = [\"x\" \"y\" z]\n").len(), 2);
        assert_eq!(told("[a]\nb = 1\n[a]\nb = 1\nc = 1\n").len(), 1);
        assert_eq!(told("[a]\nb = 1\n[a]\nb = x\n").len(), 2);
    }

    #[test]
    fn the_first_place_is_found() {
        let first = |text: &str| {
            let (table, errors) = DeTable::parse_recoverable(text);
            let table = super::super::tree::table(table.into_inner(), 0);
            slips(text, &errors, &table).slips[0].first.clone()
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
