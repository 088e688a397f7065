//! The block of `sql`.

use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::database::{BigNumbers, Isolation, Kind, Shape, Statement, Type, Work};
use crate::target::block::Opened;
use crate::value::{ByteSize, FilePath};

/// A result of at most so many bytes is whole before its answer begins, so that what is wrong with it is told by a status.
pub(super) const WHOLE: usize = 4 << 20;

/// `sql`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the database.
    pub database: String,
    /// What is run. `$1` is the first of `parameters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// A file with the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FilePath>,
    /// Several, in one transaction. All have the same parameters; `result` is that of the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// How much of other transactions this one sees: `"read-committed"`, `"repeatable-read"` or `"serializable"`. One that goes
    /// against another is run again within the deadline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction: Option<Isolation>,
    /// What is bound to the placeholders, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterConfig>,
    /// What is answered: `"one"` row, `"many"`, the number of `"affected"` ones, or `"none"`.
    #[serde(default)]
    pub result: Shape,
    /// The most rows of a result.
    #[serde(default = "max_rows")]
    pub max_rows: usize,
    /// The most bytes of a result, as JSON.
    #[serde(default = "max_bytes")]
    pub max_bytes: ByteSize,
    /// Numbers that JavaScript would round: `"string"` or `"number"`.
    #[serde(default)]
    pub big_numbers: BigNumbers,
    /// The largest body of a request of which parameters are taken.
    #[serde(default = "max_body")]
    pub max_body: ByteSize,
}

/// One of `parameters`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ParameterConfig {
    /// `"path.id"`, `"query.x"`, `"header.x"`, `"body./pointer"`, `"body"` or `"jwt.sub"`.
    pub from: Source,
    /// Its type in the database.
    #[serde(rename = "type", default = "text")]
    pub of: Type,
    /// Whether a request without it is refused; else it is null.
    #[serde(default = "yes")]
    pub required: bool,
    /// What it is where a request does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Constant>,
}

/// A value in the config.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(untagged)]
pub enum Constant {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl Constant {
    pub fn text(&self) -> String {
        match self {
            Constant::Bool(it) => it.to_string(),
            Constant::Integer(it) => it.to_string(),
            Constant::Float(it) => it.to_string(),
            Constant::Text(it) => it.clone(),
        }
    }
}

impl Config {
    /// What is run, each with the key under which it stands. None for a file that was not opened.
    pub(super) fn written<'c>(&'c self, opened: &'c Opened) -> Option<Vec<(&'c str, Vec<String>)>> {
        if let Some(statement) = &self.statement {
            return Some(vec![(statement, vec!["statement".to_owned()])]);
        }
        if self.file.is_some() {
            return Some(vec![(opened.text.as_deref()?, vec!["file".to_owned()])]);
        }
        let all = self.statements.iter().enumerate();
        let keys = |place: usize| vec!["statements".to_owned(), place.to_string()];
        Some(
            all.map(|(place, one)| (one.as_str(), keys(place)))
                .collect(),
        )
    }

    pub(super) fn work(&self, kind: Kind, opened: &Opened) -> Option<Work> {
        let types: Vec<Type> = self.parameters.iter().map(|one| one.of).collect();
        let statements = self.written(opened)?;
        let statements = statements.iter();
        Some(Work {
            statements: statements
                .map(|(text, _)| Statement::new(text, &types, kind))
                .collect(),
            isolation: self.transaction,
            shape: self.result,
        })
    }
}

fn max_bytes() -> ByteSize {
    ByteSize(WHOLE as u64)
}

fn max_rows() -> usize {
    1000
}

fn max_body() -> ByteSize {
    ByteSize(1 << 20)
}

fn text() -> Type {
    Type::TEXT
}

fn yes() -> bool {
    true
}
