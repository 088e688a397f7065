//! Work from its beginning to the library's word that it is done.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::error::{Then, Trouble};
use super::file::File;
use super::query::{Sink, Stop, over, run};
use super::ticket::Ticket;
use crate::database::{Done, Effects, Failure, Output, Shape, Value, Work};
use crate::net::backoff::{Backoff, Jitter};

/// Between two tries of something that did not get a lock for which waiting is of no use.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(200),
    jitter: Jitter::Full,
};
/// How often one is tried, if there is time.
const MOST_TRIES: u32 = 20;

/// Runs all of `work`, again where it went against somebody else, or the file was replaced, and there is time.
pub(super) fn carry_out(
    file: &mut File,
    ticket: &Arc<Ticket>,
    work: &Work,
    values: &[Value],
    output: &mut Output,
) -> Result<Done, Failure> {
    let mut tries = 0;
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
        let wait = AGAIN.after(tries);
        tries += 1;
        let again = matches!(&stop, Stop::Sqlite(trouble) if trouble.is_busy() || trouble.then == Then::OpenedAnew)
            && !output.has_begun()
            && tries < MOST_TRIES
            && wait < ticket.left();
        let failure = settle(file, stop);
        if !again {
            return Err(failure);
        }
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
    if work.shape == Shape::One && output.rows() == 0 {
        return Err(Stop::Ours(Failure::NoRow));
    }
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
