//! One problem of a config, and where it stands.

use std::fmt;

use serde_json::{Value, json};

use super::super::redact;
use super::super::source::Source;
use super::super::tree::Place;
use crate::value::problem::Severity;

/// One thing that is wrong with a config, or doubtful.
#[derive(Clone, Debug)]
pub struct Problem {
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
    /// What stands there: the part of the file that is shown.
    pub(in super::super) place: Option<Place>,
    /// Other places that belong to it, each with a few words.
    pub(in super::super) related: Vec<(Place, String)>,
}

/// A line and a column, both counted from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Problem {
    /// What is wrong at a place in one of `sources`.
    pub(in super::super) fn at(
        place: Place,
        sources: &[Source],
        message: impl Into<String>,
    ) -> Self {
        let source = sources.get(place.source);
        let position = source.map(|source| {
            let (line, column) = source.position(place.span.start);
            Position { line, column }
        });
        Problem {
            position,
            place: Some(place),
            ..Problem::of(source.map_or("", |source| &source.name), message)
        }
    }

    /// What is wrong with a file, or with the config as a whole.
    pub(in super::super) fn of(file: impl Into<String>, message: impl Into<String>) -> Self {
        Problem {
            severity: Severity::Error,
            file: file.into(),
            position: None,
            key: String::new(),
            message: message.into(),
            help: None,
            place: None,
            related: Vec::new(),
        }
    }

    /// The same, where it does not keep the config from serving.
    pub(in super::super) fn warning(self) -> Self {
        Problem {
            severity: Severity::Warning,
            ..self
        }
    }

    pub(in super::super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Strikes out the secrets that its sentences repeat.
    pub(super) fn strike_out(&mut self) {
        self.message = redact::sentence(std::mem::take(&mut self.message));
        self.help = self.help.take().map(redact::sentence);
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let position = self.position;
        json!({
            "severity": match self.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            },
            "file": self.file,
            "line": position.map(|position| position.line),
            "column": position.map(|position| position.column),
            "key": self.named_key(),
            "message": self.message,
            "help": self.help,
        })
    }

    /// The key, unless it is about the config as a whole.
    pub fn named_key(&self) -> Option<&str> {
        (!self.key.is_empty()).then_some(self.key.as_str())
    }
}

/// `file:line:column: message`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}
