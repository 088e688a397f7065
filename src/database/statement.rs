//! What is run: statements, and what is wanted of their rows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
use super::{Failure, Output};
use super::{Kind, Type, scan};

/// A statement of the config, and the types of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// As the config has it.
    pub text: Arc<str>,
    /// Of `$1` and so on, as far as the statement has them.
    pub types: Vec<Type>,
    /// By what a connection knows that it has prepared it.
    pub key: Arc<str>,
    /// It may change rows: it does not begin like a query, or has a word that changes some.
    pub writes: bool,
    /// It may leave something behind in the session that is no transaction's.
    pub marks_session: bool,
}

impl Statement {
    /// `types` are those of all parameters that there are.
    pub fn new(text: &str, types: &[Type], kind: Kind) -> Self {
        let scanned = scan(text, kind);
        let used = scanned.highest.min(types.len());
        let types = types[..used].to_vec();
        let names: Vec<String> = types.iter().map(ToString::to_string).collect();
        Statement {
            key: format!("{}\0{text}", names.join(",")).into(),
            text: text.into(),
            types,
            writes: !scanned.only_reads,
            marks_session: scanned.marks_session,
        }
    }
}

/// `transaction`: how much of other transactions one sees.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    /// As SQL has it.
    pub const fn words(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        }
    }
}

/// `result`: what is wanted of the last statement.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Its only row.
    One,
    /// All its rows.
    #[default]
    Many,
    /// How many rows it changed.
    Affected,
    /// That it is done.
    None,
}

impl Shape {
    pub const fn has_rows(self) -> bool {
        matches!(self, Shape::One | Shape::Many)
    }
}

/// Statements that are run together, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub statements: Vec<Statement>,
    pub isolation: Option<Isolation>,
    pub shape: Shape,
}

impl Work {
    /// Whether it may change rows.
    pub fn writes(&self) -> bool {
        self.statements.iter().any(|statement| statement.writes)
    }

    /// Whether it needs a transaction of its own: one statement is one, unless its rows decide whether it shall hold.
    pub fn is_transaction(&self) -> bool {
        self.statements.len() > 1
            || self.isolation.is_some()
            || (self.writes() && self.shape.has_rows())
    }

    /// Whether it may leave something behind in the session.
    pub fn marks_session(&self) -> bool {
        self.statements.iter().any(|one| one.marks_session)
    }

    /// Whether the rows are what is wanted.
    #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
    pub(super) fn judge(&self, output: &Output) -> Result<(), Failure> {
        if self.shape == Shape::One && output.rows() == 0 {
            return Err(Failure::NoRow);
        }
        Ok(())
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// How many rows the last statement changed or gave.
    pub affected: u64,
}
