//! Work from its beginning to the library's word that it is done.

use std::sync::Arc;

use rusqlite::Connection;

use super::error::{Then, Trouble};
use super::file::File;
use super::query::{Stop, over, run};
use super::ticket::Ticket;
use crate::database::sink::Sink;
use crate::database::tries::Tries;
use crate::database::{Done, Effects, Failure, Output, Value, Work};

/// Runs all of `work`, again where it went against somebody else, or the file was replaced, and there is time.
pub(super) fn carry_out(
    file: &mut File,
    ticket: &Arc<Ticket>,
    work: &Work,
    values: &[Value],
    output: &mut Output,
) -> Result<Done, Failure> {
    let mut tries = Tries::default();
    loop {
        let result = file.under(ticket, |connection| {
            attempt(connection, ticket, work, values, output)
        });
        file.rest();
        if work.marks_session() {
            file.close();
        }
        let stop = match result? {
            Ok(affected) => return Ok(Done { affected }),
            Err(stop) => stop,
        };
        // For such a lock, waiting on the spot is of no use.
        let again = matches!(&stop, Stop::Sqlite(trouble) if trouble.is_busy() || trouble.then == Then::OpenedAnew)
            && !output.has_begun();
        let wait = again.then(|| tries.next(ticket.left())).flatten();
        let failure = settle(file, stop);
        let Some(wait) = wait else {
            return Err(failure);
        };
        output.reset();
        ticket.wait(wait);
    }
}

/// What a stop means to whoever waits, and to the connection.
pub(super) fn settle(file: &mut File, stop: Stop) -> Failure {
    match stop {
        Stop::Ours(failure) => failure,
        Stop::Sqlite(Trouble {
            failure,
            told,
            then,
        }) => {
            if let Some(told) = told {
                file.way.down.troubled(told);
            }
            if then != Then::Kept {
                file.close();
            }
            failure
        }
    }
}

fn attempt(
    connection: &Connection,
    ticket: &Ticket,
    work: &Work,
    values: &[Value],
    output: &mut Output,
) -> Result<u64, Stop> {
    if !work.is_transaction() {
        let result = statements(connection, ticket, work, values, output);
        return result.map_err(|stop| doubtful(stop, work.writes()));
    }
    // One that is to write takes its place among those who write before it reads.
    connection.execute_batch(if work.writes() {
        "BEGIN IMMEDIATE"
    } else {
        "BEGIN"
    })?;
    match statements(connection, ticket, work, values, output) {
        Ok(affected) => commit(connection, ticket).map(|()| affected),
        Err(stop) => Err(undone(stop)),
    }
}

fn statements(
    connection: &Connection,
    ticket: &Ticket,
    work: &Work,
    values: &[Value],
    output: &mut Output,
) -> Result<u64, Stop> {
    let mut affected = 0;
    for (place, statement) in work.statements.iter().enumerate() {
        let sink = if place + 1 == work.statements.len() {
            Sink::Json(&mut *output)
        } else {
            Sink::Nowhere
        };
        affected = run(connection, ticket, statement, values, sink)?;
    }
    work.judge(output).map_err(Stop::Ours)?;
    Ok(affected)
}

/// Ends the transaction; one that nobody wants any more is left open, to be undone.
pub(super) fn commit(connection: &Connection, ticket: &Ticket) -> Result<(), Stop> {
    if ticket.is_over() {
        return Err(over());
    }
    let ended = connection.execute_batch("COMMIT");
    ended.map_err(|error| doubtful(error.into(), true))
}

/// A disk that fails when something is written for good leaves open what is there.
fn doubtful(stop: Stop, writes: bool) -> Stop {
    match stop {
        Stop::Sqlite(Trouble {
            failure: Failure::Broken(detail),
            told,
            then,
        }) if writes => Stop::Sqlite(Trouble {
            failure: Failure::Unknown(detail),
            told,
            then,
        }),
        stop => stop,
    }
}

/// Nothing of a transaction that was not committed is kept, whatever failed.
fn undone(stop: Stop) -> Stop {
    match stop {
        Stop::Sqlite(Trouble {
            failure: Failure::Broken(detail),
            told,
            then,
        }) => Stop::Sqlite(Trouble {
            failure: Failure::Unavailable(detail),
            told,
            then,
        }),
        Stop::Ours(Failure::Timeout(_)) => Stop::Ours(Failure::Timeout(Effects::None)),
        stop => stop,
    }
}
