//! One statement: prepared, executed, and its rows read one by one.

use std::time::Duration;

use tokio::time::Instant;

use super::bind;
use super::cancel::cancel;
use super::column::Column;
use super::conn::{Conn, LONGEST, Outcome, Packet};
use super::error::ServerError;
use super::open::Way;
use super::packet::Fields;
use super::prepared::{Ready, rewritten};
use super::row::Columns;
use super::wire::{self, flags};
use crate::database::link::Broken;
use crate::database::server::{self, Answer};
use crate::database::sink::Sink;
use crate::database::{Effects, Failure, Statement, Value};

/// How long the server may take to say what became of a statement that was cancelled.
const GRACE: Duration = Duration::from_secs(1);
/// How much of a result that is not wanted any more is read, so that its connection can be kept.
const MOST_UNWANTED: usize = 4 << 20;
/// More columns than a table can have.
const MOST_COLUMNS: u64 = 4096;

/// Why a statement did not come to its end.
pub(super) type Stop = server::Stop<ServerError>;

/// What is to be run, and until when.
pub(super) struct Run<'a> {
    pub way: &'a Way,
    pub statement: &'a Statement,
    pub values: &'a [Value],
    pub until: Instant,
}

/// Runs a statement, and says how many rows it changed or gave. Where the connection is not at rest afterwards, something of it
/// still runs, or a transaction is open.
///
/// # Errors
/// When the connection broke, or the server did not answer in time, not even to being told to stop.
pub(super) async fn run(conn: &mut Conn, run: &Run<'_>, sink: &mut Sink<'_>) -> Answer<u64, Stop> {
    conn.link.set_deadline(run.until);
    conn.has_run = false;
    let known = conn.prepared.get(&run.statement.key).cloned();
    let was_known = known.is_some();
    let ready = match known {
        Some(ready) => ready,
        None => match prepare(conn, run).await? {
            Ok((ready, _)) => ready,
            Err(stop) => return Ok(Err(stop)),
        },
    };
    let result = execute(conn, run, &ready, sink).await?;
    let is_stale = matches!(&result, Err(Stop::Server(error)) if error.is_stale_plan());
    if !(was_known && is_stale) {
        return Ok(result);
    }
    conn.prepared.forget(&run.statement.key);
    match prepare(conn, run).await? {
        Ok((ready, _)) => execute(conn, run, &ready, sink).await,
        Err(stop) => Ok(Err(stop)),
    }
}

/// Has the server prepare the statement. Gives the names of its columns as well.
pub(super) async fn prepare(conn: &mut Conn, run: &Run<'_>) -> Answer<(Ready, Vec<String>), Stop> {
    let (text, order) = rewritten(&run.statement.text);
    conn.send(wire::PREPARE, |into| {
        into.extend_from_slice(text.as_bytes())
    })
    .await?;
    let packet = next(conn, run, LONGEST).await?;
    let body = conn.body(packet).into_owned();
    conn.done(packet);
    let mut fields = Fields(&body);
    let counts = match fields.u8() {
        Some(0x00) => (fields.u32(), fields.u16(), fields.u16()),
        Some(0xff) => {
            let mut error = conn.take_error(&body);
            error.of_text = true;
            return Ok(Err(Stop::Server(Box::new(error))));
        }
        _ => (None, None, None),
    };
    let (Some(id), Some(columns), Some(parameters)) = counts else {
        return Err(Broken::lost("it prepared something that cannot be read"));
    };
    // Each list ends with a packet of its own, unless that was agreed to be left out.
    let has_end = conn.flags & flags::NO_EOF == 0;
    let mut names = Vec::new();
    for (count, is_of_columns) in [(parameters, false), (columns, true)] {
        let end = u32::from(has_end && count > 0);
        for place in 0..u32::from(count) + end {
            let packet = next(conn, run, LONGEST).await?;
            if is_of_columns && place < u32::from(count) {
                let column = Column::read(&conn.body(packet), conn.flags);
                names.extend(column.map(|column| column.name));
            }
            conn.done(packet);
        }
    }
    conn.awaits = false;
    if usize::from(parameters) != order.len() {
        conn.put(wire::CLOSE, |into| {
            into.extend_from_slice(&id.to_le_bytes())
        });
        // The server sees other placeholders in it than were seen here.
        return Ok(Err(Stop::Ours(Failure::refused("HY093"))));
    }
    let ready = Ready { id, order };
    if run.way.prepares {
        let gone = conn.prepared.keep(&run.statement.key, ready.clone());
        if let Some(gone) = gone {
            conn.put(wire::CLOSE, |into| {
                into.extend_from_slice(&gone.id.to_le_bytes());
            });
        }
    }
    Ok(Ok((ready, names)))
}

async fn execute(
    conn: &mut Conn,
    run: &Run<'_>,
    ready: &Ready,
    sink: &mut Sink<'_>,
) -> Answer<u64, Stop> {
    let bound = match bind::parameters(&run.statement.types, run.values, &ready.order) {
        Ok(bound) => bound,
        Err(failure) => return Ok(Err(Stop::Ours(failure))),
    };
    conn.is_fresh = false;
    conn.has_run = true;
    conn.is_marked |= run.statement.marks_session;
    conn.send(wire::EXECUTE, |into| {
        into.extend_from_slice(&ready.id.to_le_bytes());
        // No cursor, once.
        into.extend_from_slice(&[0, 1, 0, 0, 0]);
        into.extend_from_slice(&bound);
    })
    .await?;
    let mut results = Results {
        run,
        sink,
        given: false,
        affected: 0,
        stop: None,
        unwanted: 0,
    };
    while results.one(conn).await? {}
    if !run.way.prepares && !conn.awaits {
        // It goes with the next command.
        conn.put(wire::CLOSE, |into| {
            into.extend_from_slice(&ready.id.to_le_bytes());
        });
    }
    Ok(match results.stop {
        None => Ok(results.affected),
        Some(stop) => Err(stop),
    })
}

/// The results of a statement: of a procedure, several.
struct Results<'a, 'r, 's> {
    run: &'a Run<'r>,
    sink: &'a mut Sink<'s>,
    /// The rows of a result were given; those of others are not wanted.
    given: bool,
    affected: u64,
    stop: Option<Stop>,
    /// Bytes of rows that nobody wants.
    unwanted: usize,
}

impl Results<'_, '_, '_> {
    /// Reads one result. True when there is another one.
    async fn one(&mut self, conn: &mut Conn) -> Result<bool, Broken> {
        let packet = next(conn, self.run, LONGEST).await?;
        let body = conn.body(packet).into_owned();
        conn.done(packet);
        let count = match body.first() {
            Some(0x00) => {
                let outcome = conn.take_ok(&body[1..])?;
                self.affected = outcome.affected;
                conn.awaits = outcome.more_results;
                self.judge_end(conn);
                return Ok(outcome.more_results);
            }
            Some(0xff) => {
                self.failed(conn, &body);
                return Ok(false);
            }
            // The content of a file of this process is what it asks for.
            None | Some(0xfb) => return Err(Broken::lost("it asks for a file")),
            Some(_) => Fields(&body)
                .length()
                .filter(|count| *count <= MOST_COLUMNS),
        };
        let Some(count) = count else {
            return Err(Broken::lost("it described rows that cannot be read"));
        };
        let mut columns = Columns::default();
        for _ in 0..count {
            let packet = next(conn, self.run, LONGEST).await?;
            let column = Column::read(&conn.body(packet), conn.flags);
            conn.done(packet);
            columns.push(column.ok_or_else(|| {
                Broken::lost("it described a column in a way that cannot be read")
            })?);
        }
        if conn.flags & flags::NO_EOF == 0 {
            let packet = next(conn, self.run, LONGEST).await?;
            conn.done(packet);
        }
        let more = self.rows(conn, &columns).await?;
        self.given = true;
        Ok(more)
    }

    /// Reads the rows of a result. True when there is another result.
    async fn rows(&mut self, conn: &mut Conn, columns: &Columns) -> Result<bool, Broken> {
        let mut rows = 0;
        let twice = match self.sink {
            Sink::Json(output) if output.wants_rows() => columns.twice(),
            _ => None,
        };
        if let Some(name) = twice {
            self.stop(Failure::Ambiguous(name.to_owned()));
        }
        loop {
            if !conn.has_packet()
                && let Sink::Json(output) = &mut self.sink
                && self.stop.is_none()
                && let Err(failure) = output.flush(self.run.until).await
            {
                self.stop(failure);
                return Ok(false);
            }
            let most = if self.given { 0 } else { self.sink.room() };
            // A row has less in JSON than here where its numbers are short: names stand before them instead.
            let packet = match next(conn, self.run, most.max(LONGEST)).await {
                Err(Broken::TooLong) => {
                    let failure = self.sink.too_long();
                    self.stop(failure);
                    return Ok(false);
                }
                packet => packet?,
            };
            let body = conn.body(packet);
            match body.first() {
                Some(0x00) => {
                    rows += 1;
                    self.row(&body, columns);
                    drop(body);
                    conn.done(packet);
                    if self.stop.is_some() && self.unwanted > MOST_UNWANTED {
                        return Ok(false);
                    }
                }
                Some(0xff) => {
                    let body = body.into_owned();
                    conn.done(packet);
                    self.failed(conn, &body);
                    return Ok(false);
                }
                Some(0xfe) => {
                    let body = body.into_owned();
                    conn.done(packet);
                    let outcome = end(conn, &body[1..])?;
                    self.affected = rows;
                    conn.awaits = outcome.more_results;
                    self.judge_end(conn);
                    return Ok(outcome.more_results);
                }
                _ => return Err(Broken::lost("it sent a row that is none")),
            }
        }
    }

    fn row(&mut self, body: &[u8], columns: &Columns) {
        let is_wanted = self.stop.is_none() && !self.given;
        let written = match &mut self.sink {
            Sink::Json(output) if is_wanted && output.wants_rows() => columns.write(body, output),
            Sink::Table(table) if is_wanted => columns.add(body, table),
            _ => {
                self.unwanted += body.len();
                Ok(())
            }
        };
        if let Err(failure) = written {
            self.stop(failure);
        }
    }

    fn failed(&mut self, conn: &mut Conn, body: &[u8]) {
        let error = conn.take_error(body);
        if !matches!(self.stop, Some(Stop::Server(_))) {
            self.stop = Some(Stop::Server(Box::new(error)));
        }
    }

    fn stop(&mut self, failure: Failure) {
        self.stop.get_or_insert(Stop::Ours(failure));
    }

    /// A result that ended well after the server was told to stop may be none of the statement's: in MySQL (9.7) a `sleep` or a wait
    /// for a lock of its own that is stopped gives a value, and no error.
    fn judge_end(&mut self, conn: &Conn) {
        if !conn.is_over {
            return;
        }
        // The connection is closed, and an open transaction is undone with it.
        let effects = if self.run.statement.writes && !conn.in_transaction {
            Effects::Unknown
        } else {
            Effects::None
        };
        self.stop(Failure::Timeout(effects));
    }
}

/// What stands behind the last row.
fn end(conn: &mut Conn, fields: &[u8]) -> Result<Outcome, Broken> {
    if conn.flags & flags::NO_EOF == 0 {
        conn.take_eof(fields)
    } else {
        conn.take_ok(fields)
    }
}

/// The next packet. When the time is over the server is told to stop, and may say what became of it.
async fn next(conn: &mut Conn, run: &Run<'_>, most: usize) -> Result<Packet, Broken> {
    loop {
        match conn.packet(most).await {
            Err(Broken::Late) if !conn.is_over => {
                cancel(conn, run.way).await;
                conn.link.set_deadline(Instant::now() + GRACE);
            }
            packet => return packet,
        }
    }
}

#[cfg(test)]
mod tests;
