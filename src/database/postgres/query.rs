//! Statements in one go: all of them are sent before the first answer is waited for, and none is run behind one that failed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;
use tokio::time::Instant;

use super::cancel::cancel;
use super::conn::{Conn, LONGEST};
use super::error::{ServerError, affected};
use super::open::Way;
use super::prepared::Found;
use super::row::{Columns, values as row_values};
use super::wire;
use crate::database::link::Broken;
use crate::database::server::{self, Answer, Batch};
use crate::database::sink::Sink;
use crate::database::{Failure, Statement};

/// How long the server may take to say what became of a statement that was cancelled, before it is told once more.
const GRACE: Duration = Duration::from_millis(500);
/// How often it is told.
const MOST_CANCELS: u32 = 3;
/// How much of a result that is not wanted any more is read, so that its connection can be kept.
const MOST_UNWANTED: usize = 4 << 20;

/// SQLSTATE of what exceeds a limit of the program: a statement or a value is longer than a message can be.
const TOO_LONG: &str = "54000";

/// Why statements did not come to their end.
pub(super) type Stop = server::Stop<ServerError>;

/// Runs the statements, and says how many rows the last one changed or gave. Outside of a transaction, they are one. Where
/// the connection is not at rest afterwards, something of it still runs.
///
/// # Errors
/// When the connection broke, or the server did not answer in time, not even to being told to stop.
pub(super) async fn run(
    conn: &mut Conn,
    way: &Way,
    batch: Batch<'_>,
    sink: Sink<'_>,
) -> Answer<u64, Stop> {
    let mut found = Vec::with_capacity(batch.statements.len());
    let written = prepare(conn, &batch, &mut found);
    let mut run = Run {
        found,
        firsts: usize::from(batch.begins),
        ended: 0,
        parsed: 0,
        columns: None,
        affected: 0,
        stop: None,
        unwanted: 0,
        batch,
        sink,
    };
    if written.is_err() {
        conn.write.clear();
        let failure = Failure::refused(TOO_LONG);
        run.stop = Some(Stop::Ours(failure));
        return Ok(run.end(conn));
    }
    conn.awaited += 1;
    conn.link.set_deadline(run.batch.until);
    let mut cancels = 0;
    // A reader whom the end of this would find waiting gets it first.
    let mut sent = conn.send().await;
    loop {
        let arrived = match sent {
            Ok(()) => run.next(conn).await,
            Err(broken) => Err(broken),
        };
        sent = Ok(());
        match arrived {
            Ok(None) => return Ok(run.end(conn)),
            Ok(Some(message)) => {
                if run.take(conn, message)? {
                    return Ok(run.end(conn));
                }
            }
            Err(Broken::Late) if cancels < MOST_CANCELS => {
                cancels += 1;
                cancel(conn, way).await;
                conn.link.set_deadline(Instant::now() + GRACE);
            }
            Err(Broken::TooLong) => {
                let failure = run.sink.too_long();
                run.stop.get_or_insert(Stop::Ours(failure));
                return Ok(run.end(conn));
            }
            Err(broken) => return Err(broken),
        }
    }
}

struct Run<'a> {
    batch: Batch<'a>,
    sink: Sink<'a>,
    /// What was known of each statement; None where it goes without a name.
    found: Vec<Option<Found>>,
    /// How many commands stand before the statements.
    firsts: usize,
    /// How many have ended.
    ended: usize,
    /// How many were parsed, of those that were to be.
    parsed: usize,
    columns: Option<Arc<Columns>>,
    affected: u64,
    stop: Option<Stop>,
    /// Bytes of rows that nobody wants.
    unwanted: usize,
}

/// Writes all that is to be sent, and tells what was known of each statement.
fn prepare(conn: &mut Conn, batch: &Batch<'_>, all: &mut Vec<Option<Found>>) -> io::Result<()> {
    conn.writer();
    let write = &mut conn.write;
    if batch.begins {
        wire::once(&wire::begin(batch.isolation), write)?;
    }
    for statement in batch.statements {
        let known = conn.prepared.as_mut();
        let known = known.map(|prepared| prepared.find(&statement.key));
        let (found, gone) = known.map_or((None, None), |(found, gone)| (Some(found), gone));
        all.push(found);
        if let Some(gone) = gone {
            wire::close_statement(&gone, write)?;
        }
        let found = all.last().and_then(Option::as_ref);
        let name = found.map_or("", |found| &found.name);
        if found.is_none_or(|found| found.is_new) {
            wire::parse(name, &statement.text, &statement.types, write)?;
        }
        wire::bind(name, statement, batch.values, write)?;
        if found.is_none_or(|found| found.columns.is_none()) {
            wire::describe_portal(write)?;
        }
        wire::execute(write)?;
    }
    frontend::sync(write);
    Ok(())
}

impl Run<'_> {
    /// The next message. None where what is left is not worth waiting for.
    async fn next(&mut self, conn: &mut Conn) -> Result<Option<Message>, Broken> {
        if !conn.has_message()
            && let Sink::Json(output) = &mut self.sink
            && self.stop.is_none()
            && let Err(failure) = output.flush(self.batch.until).await
        {
            self.stop = Some(Stop::Ours(failure));
            return Ok(None);
        }
        let most = if self.is_last() { self.sink.room() } else { 0 };
        // A row has less in JSON than here where its numbers are short: names stand before them instead.
        conn.message(most.max(LONGEST)).await.map(Some)
    }

    fn is_last(&self) -> bool {
        self.ended + 1 == self.firsts + self.batch.statements.len()
    }

    /// The statement that is run now, and what was known of it.
    fn current(&self) -> Option<(&Statement, Option<&Found>)> {
        let place = self.ended.checked_sub(self.firsts)?;
        let statement = self.batch.statements.get(place)?;
        Some((statement, self.found.get(place)?.as_ref()))
    }

    /// Takes a message. True when it was the last one, or those that follow are not waited for.
    fn take(&mut self, conn: &mut Conn, message: Message) -> Result<bool, Broken> {
        match message {
            Message::ParseComplete => self.parsed += 1,
            Message::RowDescription(body) => {
                let columns = Columns::read(&body).ok_or_else(nonsense)?;
                self.described(conn, Some(Arc::new(columns)));
            }
            Message::NoData => self.described(conn, None),
            Message::DataRow(body) => self.row(&body),
            Message::CommandComplete(body) => {
                self.affected = affected(&body).1;
                self.next_statement();
            }
            Message::EmptyQueryResponse => self.next_statement(),
            Message::ErrorResponse(body) => {
                let error = ServerError::read(&body);
                let is_fatal = error.is_fatal;
                if !matches!(self.stop, Some(Stop::Server(_))) {
                    self.stop = Some(Stop::Server(Box::new(error)));
                }
                if is_fatal {
                    // It is closed by the server: nobody is there any more who could be told to stop.
                    conn.is_cancelled = true;
                    conn.key = None;
                    return Ok(true);
                }
            }
            Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                return Err(Broken::Lost("it began to copy".to_owned()));
            }
            Message::ReadyForQuery(body) => {
                conn.ready(&body);
                return Ok(true);
            }
            _ => {}
        }
        Ok(self.stop.is_some() && self.unwanted > MOST_UNWANTED)
    }

    /// Takes note of the columns of the statement that is run now.
    fn described(&mut self, conn: &mut Conn, columns: Option<Arc<Columns>>) {
        if let Some((statement, Some(_))) = self.current()
            && let Some(prepared) = &mut conn.prepared
        {
            prepared.note(&statement.key, columns.clone());
        }
        self.columns = columns;
    }

    fn next_statement(&mut self) {
        self.ended += 1;
        self.columns = None;
    }

    fn row(&mut self, body: &DataRowBody) {
        if !self.is_last() || self.stop.is_some() {
            self.unwanted += body.buffer().len();
            return;
        }
        if self.columns.is_none() {
            let known = self.current().and_then(|(_, found)| found?.columns.clone());
            self.columns = known.flatten();
        }
        let Some(columns) = &self.columns else {
            return;
        };
        let written = match &mut self.sink {
            Sink::Json(output) if output.wants_rows() => {
                match columns.twice().filter(|_| output.rows() == 0) {
                    Some(name) => Err(Failure::Ambiguous(name.to_owned())),
                    None => columns.write(body, output),
                }
            }
            Sink::Table(table) => {
                if table.columns.is_empty() {
                    table.columns = columns.names();
                }
                table.rows.extend(row_values(body));
                Ok(())
            }
            _ => {
                self.unwanted += body.buffer().len();
                Ok(())
            }
        };
        if let Err(failure) = written {
            self.stop = Some(Stop::Ours(failure));
        }
    }

    /// What came of it. What was not parsed is not known.
    fn end(self, conn: &mut Conn) -> Result<u64, Stop> {
        let new = self.batch.statements.iter().zip(&self.found);
        let new = new.filter(|(_, found)| found.as_ref().is_some_and(|found| found.is_new));
        for (statement, _) in new.skip(self.parsed.saturating_sub(self.firsts)) {
            if let Some(prepared) = &mut conn.prepared {
                prepared.forget(&statement.key);
            }
        }
        match self.stop {
            None => Ok(self.affected),
            Some(stop) => Err(stop),
        }
    }
}

fn nonsense() -> Broken {
    Broken::Lost("it described rows that cannot be read".to_owned())
}
