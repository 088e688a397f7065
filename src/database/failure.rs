//! Why statements failed.

/// Why what was asked for is not known to be done. Each sentence is safe to show to a caller: it has nothing of the statement,
/// and no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A constraint is against it; what it is called, or the column that it is about.
    Constraint(Constraint, Option<String>),
    /// A value is none of its type, or out of its range. The number of the parameter, from 0, where that is known.
    BadValue(Option<usize>, String),
    /// The statement raised an error of its own.
    Raised,
    /// It went against another transaction, again and again.
    Conflict(&'static str),
    /// It waited for a lock that it did not get.
    Locked,
    /// It took too long. What is known of its effects.
    Timeout(Effects),
    /// There is no room for it on the disk. Nothing was kept.
    Full,
    /// The result has more rows, or more bytes, than it may.
    TooLarge(String),
    /// There is a row too many.
    NotOne,
    /// Two columns have this name, and an object has room for one.
    Ambiguous(String),
    /// There is no row.
    NoRow,
    /// No connection was free.
    Overloaded(String),
    /// There is no connection to be had. Nothing was run.
    Unavailable(String),
    /// The connection broke while rows were read, and nothing was to be changed.
    Broken(String),
    /// The connection broke, and whether the statement was carried out is not known.
    Unknown(String),
    /// The database refuses the statement itself.
    Refused {
        /// Its code for why.
        code: String,
        /// Its own sentence, for operators, where that is about the statement alone: it has names of the statement, and no value.
        told: Option<String>,
    },
}

impl Failure {
    /// The database refuses the statement, by a code that says all.
    pub fn refused(code: impl Into<String>) -> Self {
        let code = code.into();
        Failure::Refused { code, told: None }
    }
}

/// What is known of the effects of a statement that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    /// There are none.
    None,
    Unknown,
}

/// A kind of constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constraint {
    Unique,
    ForeignKey,
    Exclusion,
    NotNull,
    Check,
}
