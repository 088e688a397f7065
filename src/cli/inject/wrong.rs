//! What is wrong with a manifest, and where.

/// A part of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// In bytes, from the start of the file.
    pub start: usize,
    /// Where it ends; of a mapping or sequence in flow style, where its bracket ends.
    pub end: usize,
    pub line: usize,
    pub column: usize,
}

/// What is wrong, and where: a line and a column from 1. The text itself is not shown, as it may hold secrets.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong {
    pub line: usize,
    pub column: usize,
    pub message: String,
    pub help: &'static str,
}

impl Wrong {
    pub fn at(place: Place, message: impl Into<String>, help: &'static str) -> Self {
        Wrong {
            line: place.line,
            column: place.column,
            message: message.into(),
            help,
        }
    }
}
