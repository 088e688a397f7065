//! Why a database gives nothing, in sentences for operators.

use std::sync::Arc;

use super::dialect::Known;
use crate::database::{Effects, Failure};
use crate::relay::outbox::Trouble;
use crate::relay::{Config, TableName};

/// What is told of the failures of one table.
#[derive(Clone)]
pub(super) struct Told {
    table: Arc<str>,
}

impl Told {
    pub fn new(table: &TableName) -> Self {
        Told {
            table: table.to_string().into(),
        }
    }

    /// What came of something that was asked, or why nothing did.
    ///
    /// # Errors
    /// The sentence.
    pub fn of<T>(&self, result: Result<T, Failure>) -> Result<T, Trouble> {
        result.map_err(|failure| Trouble(self.sentence(failure)))
    }

    /// Why there is nothing, in a sentence that is safe to show.
    pub fn sentence(&self, failure: Failure) -> String {
        let table = &self.table;
        match failure {
            Failure::Refused { code, .. } => self.refused(&code),
            Failure::Unavailable(why)
            | Failure::Overloaded(why)
            | Failure::Broken(why)
            | Failure::Unknown(why)
            | Failure::TooLarge(why) => why,
            Failure::Constraint(_, what) => format!(
                "a constraint is against it that rows of `{table}` go: {}",
                what.as_deref().unwrap_or("it has no name")
            ),
            Failure::BadValue(_, why) => {
                format!("a column of `{table}` does not take what is to be written there: {why}")
            }
            Failure::Full => "the database has no room on its disk".to_owned(),
            Failure::Raised => format!("a trigger is against what is done with `{table}`"),
            Failure::Conflict(what) => format!("another transaction is in the way: {what}"),
            Failure::Locked => format!("somebody else has locked `{table}`"),
            Failure::Timeout(Effects::None | Effects::Unknown) => {
                "a statement took longer than the database's `statement_timeout`".to_owned()
            }
            Failure::NotOne | Failure::NoRow | Failure::Ambiguous(_) => {
                format!("the database gave an answer about `{table}` that is none")
            }
        }
    }

    /// By the code of the database, which has more than that where the kind has two of them.
    fn refused(&self, code: &str) -> String {
        let table = &self.table;
        match code.rsplit_once("error ").map_or(code, |(_, number)| number) {
            "42P01" | "3F000" | "1146" => format!("there is no table `{table}` in the database"),
            "42501" | "1142" | "1143" => format!(
                "the database's user lacks rights on `{table}`: it needs SELECT, UPDATE and DELETE"
            ),
            code if code.starts_with("SQLITE_READONLY") => {
                "the database takes no changes: its file, its folder or its URL is read only"
                    .to_owned()
            }
            "25006" | "1290" | "1792" | "1836" => {
                "the database takes no changes: it is read only".to_owned()
            }
            // Nothing else of the statements is newer than the oldest server that is there.
            "1064" => "the database does not know what a relay needs, `skip locked` and `json_table`: MariaDB has them from 10.6 on, \
                       and MySQL from 8.0.4 on"
                .to_owned(),
            "1665" => "the database's `binlog_format` is STATEMENT, with which it deletes and changes nothing in a transaction that \
                       is `read committed`, as those of a relay are: set it to ROW or MIXED"
                .to_owned(),
            // The database's words for what has no code.
            _ if code.contains(' ') && !code.contains(", error ") => code.to_owned(),
            _ => format!("the database refuses what is asked about `{table}`: {code}"),
        }
    }

    /// Whether the table is there, keeps to transactions, and has all columns that the relay names.
    ///
    /// # Errors
    /// The first of that which it lacks.
    pub fn of_table(&self, config: &Config, known: &Known) -> Result<(), Trouble> {
        let table = &self.table;
        if known.names().next().is_none() {
            return Err(Trouble(format!(
                "there is no table `{table}` in the database, or its user has no right to see it"
            )));
        }
        if let Some(engine) = &known.engine {
            return Err(Trouble(format!(
                "the table `{table}` is kept by {engine}, which has no transactions: \
                 a row would be there before what it is about, or without it; make it one of InnoDB"
            )));
        }
        let columns = &config.columns;
        let named = [
            Some(&columns.id),
            Some(&columns.payload),
            columns.sequence.as_ref(),
            columns.key.as_ref(),
            columns.created_at.as_ref(),
            columns.published_at.as_ref(),
            columns.attempts.as_ref(),
            columns.error.as_ref(),
        ];
        if known.names().next().is_none() {
            return Err(Trouble(self.sentence(Failure::refused("42P01"))));
        }
        let selected = config.selected();
        let mut all = named.into_iter().flatten().chain(&selected);
        match all.find(|column| !known.has(column)) {
            None => Ok(()),
            Some(column) => {
                let names: Vec<String> = known.names().map(|name| format!("`{name}`")).collect();
                Err(Trouble(format!(
                    "the table `{}` has no column `{column}`; it has {}",
                    self.table,
                    names.join(", ")
                )))
            }
        }
    }
}
