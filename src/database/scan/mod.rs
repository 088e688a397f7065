//! What can be seen of a statement without a database: its placeholders, whether it is one, and whether it only reads.

mod scanner;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Kind;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Where a placeholder stands, and its number, from 1.
    pub placeholders: Vec<(Range<usize>, usize)>,
    /// The highest number.
    pub highest: usize,
    /// How many commands there are, divided by semicolons.
    pub commands: usize,
    /// The first word, in lower case.
    pub first: String,
    /// The second one.
    pub second: String,
    /// It begins like a query, and has no word that changes rows.
    pub only_reads: bool,
    /// It has a word that leaves something behind in the session.
    pub marks_session: bool,
    /// A quote or a comment does not end.
    pub is_open: bool,
    /// The first placeholder that has no number: one with a name, or of another form than those before it. Only SQLite has such.
    pub unnumbered: Option<String>,
}

/// Looks at a statement as this kind of database would.
pub fn scan(text: &str, kind: Kind) -> Scanned {
    scanner::scan(text, kind)
}
