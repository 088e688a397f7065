//! Work from its beginning to the server's word that it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::conn::{Conn, Status};
use super::open::Way;
use super::query::{Batch, Sink, Stop, run};
use crate::database::link::Broken;
use crate::database::{Done, Effects, Failure, Isolation, Output, Shape, Value, Work};

/// How long the server may take to end a transaction, or to forget what a session has left, beyond the deadline.
const END: Duration = Duration::from_secs(2);

/// Runs all of `work`, once; statements whose plans do not fit any more are prepared anew.
pub(super) async fn carry_out(
    conn: &mut Conn,
    way: &Way,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<Done, Failure> {
    let had_prepared = conn.prepared.is_some();
    let mut result = attempt(conn, way, work, values, output, until).await;
    if let Err(Stop::Server(error)) = &result
        && had_prepared
        && error.is_stale_plan()
        && conn.is_at_rest()
        && !output.has_begun()
        && forget_plans(conn).await
    {
        output.reset();
        result = attempt(conn, way, work, values, output, until).await;
    }
    let is_marked = way.resets || work.marks_session();
    if is_marked && conn.is_at_rest() && !conn.is_pooled {
        forget_session(conn).await;
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
    let is_transaction = work.is_transaction();
    // Without a transaction around it, a statement holds as soon as it has run.
    let may_hold = !is_transaction && work.writes();
    let begin = begin(work.isolation);
    let batch = Batch {
        first: is_transaction.then_some(begin.as_str()),
        statements: &work.statements,
        values,
        until,
    };
    let result = run(conn, way, batch, Sink::Json(&mut *output)).await;
    let result = match result {
        Ok(Ok(affected)) => judge(work, output).map(|()| affected).map_err(Stop::Ours),
        Ok(Err(Stop::Server(error))) if error.is_of_the_way() && may_hold => Err(Stop::Ours(
            Broken::lost("a pooler lost it").failure(Effects::Unknown, false),
        )),
        Ok(Err(stop)) => Err(stop),
        Err(broken) => {
            let effects = if may_hold {
                Effects::Unknown
            } else {
                Effects::None
            };
            return Err(Stop::Ours(broken.failure(effects, is_transaction)));
        }
    };
    if !is_transaction || conn.awaited > 0 || conn.status == Status::Idle {
        return result;
    }
    match result {
        Ok(affected) => {
            let effort = commit(conn).await;
            effort.map(|()| affected)
        }
        Err(stop) => {
            // Where that fails the connection is closed, which does the same.
            let _closed = rollback(conn).await;
            Err(stop)
        }
    }
}

/// Whether the rows are what is wanted.
fn judge(work: &Work, output: &Output) -> Result<(), Failure> {
    match (work.shape, output.rows()) {
        (Shape::One, 0) => Err(Failure::NoRow),
        _ => Ok(()),
    }
}

pub(super) fn begin(isolation: Option<Isolation>) -> String {
    match isolation {
        None => "BEGIN".to_owned(),
        Some(isolation) => format!("BEGIN ISOLATION LEVEL {}", isolation.words()),
    }
}

/// Ends the transaction. The server says `ROLLBACK` to a `COMMIT` behind a statement that failed.
pub(super) async fn commit(conn: &mut Conn) -> Result<(), Stop> {
    conn.link.set_deadline(Instant::now() + END);
    match conn.command("COMMIT").await {
        Ok(Ok(tag)) if tag == "COMMIT" && conn.status == Status::Idle => Ok(()),
        Ok(Ok(_)) => Err(Stop::Ours(Failure::Refused("25P02".to_owned()))),
        Ok(Err(error)) if error.is_fatal => Err(Stop::Ours(unknown())),
        Ok(Err(error)) => Err(Stop::Server(Box::new(error))),
        Err(_) => Err(Stop::Ours(unknown())),
    }
}

pub(super) async fn rollback(conn: &mut Conn) -> Result<(), Failure> {
    conn.link.set_deadline(Instant::now() + END);
    match conn.command("ROLLBACK").await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(Failure::Unavailable(
            "the connection to the database broke".to_owned(),
        )),
    }
}

/// Has the server forget all that was prepared.
async fn forget_plans(conn: &mut Conn) -> bool {
    if let Some(prepared) = &mut conn.prepared {
        prepared.clear();
    }
    conn.link.set_deadline(Instant::now() + END);
    matches!(conn.command("DEALLOCATE ALL").await, Ok(Ok(_)))
}

/// Has the server forget all that belongs to the session. A connection on which that fails is of no use any more.
async fn forget_session(conn: &mut Conn) {
    if let Some(prepared) = &mut conn.prepared {
        prepared.clear();
    }
    conn.link.set_deadline(Instant::now() + END);
    if !matches!(conn.command("DISCARD ALL").await, Ok(Ok(_))) {
        conn.is_cancelled = true;
    }
}

fn unknown() -> Failure {
    Failure::Unknown(
        "the connection to the database broke while the transaction was ended".to_owned(),
    )
}
