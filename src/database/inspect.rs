//! What a database says of a statement that it has looked at, and not run.

/// A statement that a database would run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// For what type it would take each parameter, were none declared; None where it does not tell.
    pub parameters: Vec<Option<String>>,
    /// The names of the columns of its rows, which are none where it gives none; None where it does not tell.
    pub columns: Option<Vec<String>>,
}

/// Why there is nothing to be said of a statement, in words for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The database could not be asked.
    Unreachable(String),
    /// It would refuse the statement.
    Refused(String),
}
