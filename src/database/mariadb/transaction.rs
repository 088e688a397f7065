//! Work from its beginning to the server's word that it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::conn::Conn;
use super::error::ServerError;
use super::open::{Way, forget_session};
use super::query::{Run, Sink, Stop, run};
use crate::database::link::Broken;
use crate::database::{Done, Effects, Failure, Isolation, Output, Shape, Statement, Value, Work};

/// How long the server may take to end a transaction, or to forget what a session has left, beyond the deadline.
const END: Duration = Duration::from_secs(2);
/// A transaction is open where none should be (SQLSTATE "active SQL transaction").
const LEFT_OPEN: &str = "25001";

/// Runs all of `work`, once.
pub(super) async fn carry_out(
    conn: &mut Conn,
    way: &Way,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<Done, Failure> {
    let marks = work.marks_session();
    if marks && !conn.is_fresh {
        // What it looks at may be left by functions and triggers of an earlier one.
        conn.link.set_deadline(until);
        if !forget_session(conn, way).await {
            return Err(Failure::Unavailable(
                "the connection to the database broke".to_owned(),
            ));
        }
    }
    let result = attempt(conn, way, work, values, output, until).await;
    if marks && !conn.awaits && !conn.is_over && !conn.in_transaction {
        conn.link.set_deadline(Instant::now() + END);
        forget_session(conn, way).await;
    }
    match result {
        Ok(affected) => Ok(Done { affected }),
        Err(Stop::Server(error)) => Err(error.into_failure()),
        Err(Stop::Ours(failure)) => Err(failure),
    }
}

async fn attempt(
    conn: &mut Conn,
    way: &Way,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<u64, Stop> {
    if !work.is_transaction() {
        let Some(statement) = work.statements.first() else {
            return Ok(0);
        };
        let asked = Run {
            way,
            statement,
            values,
            until,
        };
        let affected = match run(conn, &asked, Sink::Json(&mut *output)).await {
            Ok(result) => result?,
            Err(broken) => return Err(Stop::Ours(cut_off(conn, statement, &broken, false))),
        };
        if conn.in_transaction {
            // A procedure has begun one, and what it did does not hold before that ends.
            let _closed = rollback(conn).await;
            return Err(Stop::Ours(Failure::Refused(LEFT_OPEN.to_owned())));
        }
        judge(work, output).map_err(Stop::Ours)?;
        return Ok(affected);
    }
    let result = steps(conn, way, work, values, output, until).await;
    if conn.awaits || conn.is_over {
        // It is closed, which undoes all. What came to its end all the same did so too late.
        return result.and(Err(Stop::Ours(Failure::Timeout(Effects::None))));
    }
    match result {
        Ok(affected) => commit(conn).await.map(|()| affected),
        Err(stop) => {
            // Where that fails the connection is closed, which does the same.
            let _closed = rollback(conn).await;
            Err(stop)
        }
    }
}

/// The statements of a transaction, which is begun, and not ended.
async fn steps(
    conn: &mut Conn,
    way: &Way,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<u64, Stop> {
    let broken = |broken: Broken| Stop::Ours(broken.failure(Effects::None, true));
    conn.link.set_deadline(until);
    begin(conn, work.isolation)
        .await
        .map_err(broken)?
        .map_err(|error| Stop::Server(Box::new(error)))?;
    let mut affected = 0;
    for (place, statement) in work.statements.iter().enumerate() {
        let sink = if place + 1 == work.statements.len() {
            Sink::Json(&mut *output)
        } else {
            Sink::Nowhere
        };
        let asked = Run {
            way,
            statement,
            values,
            until,
        };
        affected = run(conn, &asked, sink).await.map_err(broken)??;
        if !conn.in_transaction {
            return Err(Stop::Ours(Failure::Unknown(
                "a statement has ended the transaction that it is a part of".to_owned(),
            )));
        }
    }
    judge(work, output).map_err(Stop::Ours)?;
    Ok(affected)
}

/// What a connection that broke means for a statement. Within a transaction, nothing of it holds.
pub(super) fn cut_off(
    conn: &Conn,
    statement: &Statement,
    broken: &Broken,
    is_within: bool,
) -> Failure {
    let effects = if statement.writes && conn.has_run && !is_within {
        Effects::Unknown
    } else {
        Effects::None
    };
    broken.failure(effects, is_within || !conn.has_run)
}

/// Whether the rows are what is wanted.
fn judge(work: &Work, output: &Output) -> Result<(), Failure> {
    match (work.shape, output.rows()) {
        (Shape::One, 0) => Err(Failure::NoRow),
        _ => Ok(()),
    }
}

pub(super) async fn begin(
    conn: &mut Conn,
    isolation: Option<Isolation>,
) -> Result<Result<(), ServerError>, Broken> {
    if let Some(isolation) = isolation {
        // It holds for the next transaction.
        let set = format!("SET TRANSACTION ISOLATION LEVEL {}", isolation.words());
        if let Err(error) = conn.command(&set).await? {
            return Ok(Err(error));
        }
    }
    Ok(conn.command("START TRANSACTION").await?.map(drop))
}

/// Ends the transaction.
pub(super) async fn commit(conn: &mut Conn) -> Result<(), Stop> {
    conn.link.set_deadline(Instant::now() + END);
    match conn.command("COMMIT").await {
        Ok(Ok(_)) if !conn.in_transaction => Ok(()),
        Ok(Err(error)) if !error.is_fatal() => {
            let _closed = rollback(conn).await;
            Err(Stop::Server(Box::new(error)))
        }
        _ => {
            conn.is_over = true;
            Err(Stop::Ours(unknown()))
        }
    }
}

pub(super) async fn rollback(conn: &mut Conn) -> Result<(), Failure> {
    conn.link.set_deadline(Instant::now() + END);
    match conn.command("ROLLBACK").await {
        Ok(Ok(_)) if !conn.in_transaction => Ok(()),
        _ => {
            conn.is_over = true;
            Err(Failure::Unavailable(
                "the connection to the database broke".to_owned(),
            ))
        }
    }
}

fn unknown() -> Failure {
    Failure::Unknown(
        "the connection to the database broke while the transaction was ended".to_owned(),
    )
}
