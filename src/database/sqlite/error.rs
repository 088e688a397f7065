//! What SQLite says when something failed (sqlite.org/rescode.html).

use std::io;

use rusqlite::{Error, ErrorCode, ffi};

use crate::database::{Constraint, Effects, Failure};

/// What an error means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub failure: Failure,
    /// Why, for operators. It has nothing of values.
    pub told: Option<String>,
    pub then: Then,
}

/// What becomes of the connection on which it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Kept,
    Closed,
    /// There is another file in the place of the one that is open: nothing was done, and it can be tried again.
    OpenedAnew,
}

impl Trouble {
    pub fn of_io(error: &io::Error) -> Self {
        let told = format!("the file cannot be reached: {}", error.kind());
        Trouble {
            failure: Failure::Unavailable("the file of the database cannot be reached".to_owned()),
            told: Some(told),
            then: Then::Closed,
        }
    }

    /// Whether a lock was in the way.
    pub fn is_busy(&self) -> bool {
        matches!(self.failure, Failure::Locked | Failure::Conflict(_))
    }
}

/// What an error means to whoever wanted the statement.
pub(super) fn judge(error: &Error) -> Trouble {
    let (code, message) = match error {
        Error::SqliteFailure(code, message) => (code, message.as_deref().unwrap_or_default()),
        Error::SqlInputError { error, msg, .. } => (error, msg.as_str()),
        Error::MultipleStatement | Error::Empty | Error::NulError(_) => {
            return kept(Failure::refused("SQLITE_ERROR"));
        }
        other => {
            return kept(Failure::Broken(format!(
                "the database gave what is not understood ({})",
                kind(other)
            )));
        }
    };
    let name = name(code);
    let told = || Some(format!("{} ({name})", what(code)));
    let unavailable = |detail: &str, then| Trouble {
        failure: Failure::Unavailable(detail.to_owned()),
        told: told(),
        then,
    };
    match code.code {
        ErrorCode::ConstraintViolation => kept(constraint(code, message)),
        ErrorCode::TypeMismatch => kept(bad_value("datatype mismatch")),
        ErrorCode::DatabaseBusy if code.extended_code == ffi::SQLITE_BUSY_SNAPSHOT => {
            kept(Failure::Conflict("serialization_failure"))
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => kept(Failure::Locked),
        ErrorCode::OperationInterrupted => kept(Failure::Timeout(Effects::None)),
        ErrorCode::DiskFull => Trouble {
            told: told(),
            ..kept(Failure::Full)
        },
        ErrorCode::TooBig => kept(Failure::TooLarge(
            "a value on the way to the result is larger than 64 MiB".to_owned(),
        )),
        ErrorCode::ReadOnly if code.extended_code == ffi::SQLITE_READONLY_DBMOVED => {
            unavailable("the file of the database was replaced", Then::OpenedAnew)
        }
        ErrorCode::SystemIoFailure => Trouble {
            failure: Failure::Broken("the disk of the database failed".to_owned()),
            told: told(),
            then: Then::Closed,
        },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            unavailable("the file of the database is damaged", Then::Closed)
        }
        ErrorCode::OutOfMemory => unavailable("the database has no memory", Then::Closed),
        ErrorCode::CannotOpen => {
            unavailable("a file of the database cannot be opened", Then::Closed)
        }
        ErrorCode::ReadOnly => Trouble {
            told: told(),
            ..kept(Failure::Refused {
                code: name,
                told: Some(what(code).to_owned()),
            })
        },
        _ => Trouble {
            // What it says of a statement has names of the statement: what it says of values is told apart before.
            told: Some(format!("a statement is refused: {message} ({name})")),
            ..kept(Failure::Refused {
                code: name,
                told: Some(message.to_owned()),
            })
        },
    }
}

/// What a value did not fit.
pub(super) fn bad_value(detail: &str) -> Failure {
    Failure::BadValue(
        None,
        format!("a value is not what the database takes: {detail}"),
    )
}

fn kept(failure: Failure) -> Trouble {
    Trouble {
        failure,
        told: None,
        then: Then::Kept,
    }
}

/// The constraint by its extended code, and what the message calls it behind `failed: `.
fn constraint(code: &ffi::Error, message: &str) -> Failure {
    let named = message.split_once("failed: ").map(|(_, named)| named);
    let (kind, named) = match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => (Constraint::Unique, named),
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => (Constraint::ForeignKey, None),
        ffi::SQLITE_CONSTRAINT_NOTNULL => {
            let column = named.map(|named| named.rsplit('.').next().unwrap_or(named));
            (Constraint::NotNull, column)
        }
        // One without a name is called by its expression.
        ffi::SQLITE_CONSTRAINT_CHECK => (Constraint::Check, named.filter(|named| is_name(named))),
        ffi::SQLITE_CONSTRAINT_DATATYPE => return bad_value(message),
        ffi::SQLITE_CONSTRAINT_TRIGGER => return Failure::Raised,
        _ => return Failure::refused(name(code)),
    };
    Failure::Constraint(kind, named.map(str::to_owned))
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.chars().all(is_part) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// As SQLite's documentation calls a code.
fn name(code: &ffi::Error) -> String {
    let name = match code.extended_code {
        ffi::SQLITE_READONLY_ROLLBACK => "SQLITE_READONLY_ROLLBACK",
        ffi::SQLITE_READONLY_RECOVERY => "SQLITE_READONLY_RECOVERY",
        ffi::SQLITE_READONLY_CANTLOCK => "SQLITE_READONLY_CANTLOCK",
        ffi::SQLITE_READONLY_CANTINIT => "SQLITE_READONLY_CANTINIT",
        ffi::SQLITE_READONLY_DIRECTORY => "SQLITE_READONLY_DIRECTORY",
        ffi::SQLITE_READONLY_DBMOVED => "SQLITE_READONLY_DBMOVED",
        other => match other & 0xff {
            ffi::SQLITE_ERROR => "SQLITE_ERROR",
            ffi::SQLITE_PERM => "SQLITE_PERM",
            ffi::SQLITE_NOMEM => "SQLITE_NOMEM",
            ffi::SQLITE_READONLY => "SQLITE_READONLY",
            ffi::SQLITE_IOERR => return format!("SQLITE_IOERR {other}"),
            ffi::SQLITE_CORRUPT => "SQLITE_CORRUPT",
            ffi::SQLITE_FULL => "SQLITE_FULL",
            ffi::SQLITE_CANTOPEN => "SQLITE_CANTOPEN",
            ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
            ffi::SQLITE_AUTH => "SQLITE_AUTH",
            ffi::SQLITE_RANGE => "SQLITE_RANGE",
            ffi::SQLITE_NOTADB => "SQLITE_NOTADB",
            _ => return format!("SQLite {other}"),
        },
    };
    name.to_owned()
}

/// What a code means, without the path that SQLite's own sentence may have in it.
fn what(code: &ffi::Error) -> &'static str {
    match code.code {
        ErrorCode::DatabaseCorrupt => "the file is damaged",
        ErrorCode::NotADatabase => "the file is no database of SQLite, or encrypted",
        ErrorCode::DiskFull => "the disk is full",
        ErrorCode::SystemIoFailure => "the disk failed",
        ErrorCode::OutOfMemory => "there is no memory",
        ErrorCode::CannotOpen => {
            "a file cannot be opened: the database itself, or its journal beside it, for which the folder has to be writable"
        }
        ErrorCode::ReadOnly if code.extended_code == ffi::SQLITE_READONLY_DBMOVED => {
            "the file was replaced"
        }
        ErrorCode::ReadOnly => "the file, its folder or the URL takes no changes",
        _ => "the database cannot be used",
    }
}

/// What kind of an error it is that is none of SQLite.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::InvalidColumnType(..) | Error::InvalidColumnIndex(_) => "a column",
        Error::UnwindingPanic => "a panic",
        _ => "an error of the client",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32, message: &str) -> Failure {
        let error = Error::SqliteFailure(ffi::Error::new(code), Some(message.to_owned()));
        judge(&error).failure
    }

    #[test]
    fn a_constraint_is_called_as_far_as_sqlite_says_it() {
        let constraint =
            |kind, name: Option<&str>| Failure::Constraint(kind, name.map(str::to_owned));
        for (code, message, expected) in [
            (
                ffi::SQLITE_CONSTRAINT_UNIQUE,
                "UNIQUE constraint failed: t.a, t.b",
                constraint(Constraint::Unique, Some("t.a, t.b")),
            ),
            (
                ffi::SQLITE_CONSTRAINT_NOTNULL,
                "NOT NULL constraint failed: t.a",
                constraint(Constraint::NotNull, Some("a")),
            ),
            (
                ffi::SQLITE_CONSTRAINT_CHECK,
                "CHECK constraint failed: positive",
                constraint(Constraint::Check, Some("positive")),
            ),
            (
                ffi::SQLITE_CONSTRAINT_CHECK,
                "CHECK constraint failed: a <> 'hush'",
                constraint(Constraint::Check, None),
            ),
            (
                ffi::SQLITE_CONSTRAINT_FOREIGNKEY,
                "FOREIGN KEY constraint failed",
                constraint(Constraint::ForeignKey, None),
            ),
            (ffi::SQLITE_CONSTRAINT_TRIGGER, "hush", Failure::Raised),
            (
                ffi::SQLITE_BUSY_SNAPSHOT,
                "",
                Failure::Conflict("serialization_failure"),
            ),
            (ffi::SQLITE_BUSY_RECOVERY, "", Failure::Locked),
            (ffi::SQLITE_FULL, "", Failure::Full),
        ] {
            assert_eq!(failure(code, message), expected, "{message}");
        }
        let told = failure(ffi::SQLITE_CANTOPEN, "unable to open database file: /hush");
        assert!(!format!("{told:?}").contains("hush"));
    }
}
