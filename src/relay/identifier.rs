//! Names in a database: of a table, a column, a channel.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::value::Wrong;

/// The longest: PostgreSQL cuts off what is longer.
const LONGEST: usize = 63;

/// A name as the database's catalog has it, capital letters included. It is put into statements in quotes, and has nothing
/// in it that could end them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

impl Identifier {
    /// One that is known to be good.
    pub(super) fn of(name: &'static str) -> Self {
        debug_assert!(name.parse::<Identifier>().is_ok());
        Identifier(name.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        let good = text.starts_with(first)
            && text.len() <= LONGEST
            && text.chars().all(|c| first(c) || c.is_ascii_digit());
        if good {
            Ok(Identifier(text.to_owned()))
        } else {
            Err(Wrong::new(format!(
                "`{}` is not a name that is taken here",
                text.escape_debug()
            ))
            .help(format!(
                "write 1 to {LONGEST} letters, digits and `_`, not beginning with a digit"
            )))
        }
    }
}

impl TryFrom<String> for Identifier {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        text.parse()
    }
}

impl From<Identifier> for String {
    fn from(name: Identifier) -> String {
        name.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a table, its schema before it where that is written: `outbox`, `sales.outbox`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    pub schema: Option<Identifier>,
    pub table: Identifier,
}

impl TryFrom<String> for TableName {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(schema.parse()?), table),
            None => (None, &*text),
        };
        let table = table.parse()?;
        Ok(TableName { schema, table })
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> String {
        name.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => write!(f, "{}", self.table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_could_end_the_quotes_is_a_name() {
        for good in ["outbox", "_A1", "Sales.outbox"] {
            let name = TableName::try_from(good.to_owned()).unwrap();
            assert_eq!(name.to_string(), good);
        }
        let long = "x".repeat(64);
        for bad in [
            "", "1a", "a b", "a\"", "a`", "a'", "a]", "a.b.c", ".a", "a.", "a;", "a-b", &long,
        ] {
            assert!(TableName::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
