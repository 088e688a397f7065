//! One statement, row by row.

use std::time::Duration;

use rusqlite::Connection;

use super::bind::bind;
use super::error::{Trouble, bad_value, judge};
use super::row::{Columns, values as row_values};
use super::ticket::Ticket;
use crate::database::sink::Sink;
use crate::database::{Failure, Statement, Value};

/// Between two looks at whether a reader has made room.
const PAUSE: Duration = Duration::from_millis(2);

/// Why a statement did not come to its end.
#[derive(Debug)]
pub(super) enum Stop {
    Sqlite(Trouble),
    /// The statement has done its part, and the result is not what was wanted; or it was never begun.
    Ours(Failure),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Sqlite(judge(&error))
    }
}

/// Runs a statement, and says how many rows it changed or gave.
pub(super) fn run(
    connection: &Connection,
    ticket: &Ticket,
    statement: &Statement,
    values: &[Value],
    mut sink: Sink<'_>,
) -> Result<u64, Stop> {
    if ticket.is_over() {
        return Err(over());
    }
    let mut prepared = connection.prepare_cached(&statement.text)?;
    if !statement.writes && !prepared.readonly() {
        return Err(Stop::Ours(Failure::refused("SQLITE_READONLY")));
    }
    bind(&mut prepared, statement, values)?;
    let (reads, before) = (prepared.readonly(), connection.total_changes());
    let mut rows = prepared.raw_query();
    let (mut columns, mut given) = (None, 0);
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) => {
                drop(rows);
                return Err(stopped(connection, statement, &error));
            }
        };
        given += 1;
        // Not before the first row: only then it is known that the statement fits the tables as they are.
        let columns = columns.get_or_insert_with(|| Columns::of(row.as_ref()));
        match &mut sink {
            Sink::Json(output) if output.wants_rows() => {
                if given == 1
                    && let Some(name) = columns.twice()
                {
                    return Err(Stop::Ours(Failure::Ambiguous(name.to_owned())));
                }
                columns.write(row, output).map_err(Stop::Ours)?;
                if output.has_piece() {
                    let flushed = output.flush_blocking(|| ticket.wait(PAUSE));
                    flushed.map_err(Stop::Ours)?;
                }
            }
            Sink::Table(table) => {
                if table.columns.is_empty() {
                    table.columns = columns.names();
                }
                table.rows.push(row_values(row, table.columns.len()));
            }
            _ => {}
        }
    }
    drop(rows);
    Ok(if reads {
        given
    } else if connection.total_changes() == before {
        // What was counted is of a statement before it.
        0
    } else {
        connection.changes()
    })
}

pub(super) fn over() -> Stop {
    Stop::Ours(Failure::Timeout(crate::database::Effects::None))
}

/// What went wrong while rows were read. SQLite has one code for a function that does not take a value, and for a statement that does
/// not fit the tables any more: which one it is, is seen by preparing it once more.
fn stopped(connection: &Connection, statement: &Statement, error: &rusqlite::Error) -> Stop {
    let is_plain = error
        .sqlite_error()
        .is_some_and(|code| code.extended_code == rusqlite::ffi::SQLITE_ERROR);
    if is_plain && connection.prepare(&statement.text).is_ok() {
        return Stop::Ours(bad_value("a function or an operator refuses it"));
    }
    Stop::Sqlite(judge(error))
}
