//! Work from its beginning to the server's word that it is done.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::Server;
use super::protocol::{Batch, Connection, Protocol, ServerError, Stop};
use crate::database::link::Broken;
use crate::database::sink::Sink;
use crate::database::{Done, Effects, Failure, Output, Value, Work};

/// How long the server may take to end a transaction, or to forget what a session has left, beyond the deadline.
const END: Duration = Duration::from_secs(2);
/// A transaction is open where none should be (SQLSTATE "active SQL transaction").
const LEFT_OPEN: &str = "25001";
/// A transaction that has failed cannot be committed (SQLSTATE "in failed SQL transaction").
const HAS_FAILED: &str = "25P02";

/// Runs all of `work`, once; statements whose plans do not fit any more are prepared anew.
pub(super) async fn carry_out<P: Protocol>(
    server: &Server<P>,
    conn: &mut P::Conn,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<Done, Failure> {
    let protocol = &server.protocol;
    let marks = server.resets || work.marks_session();
    if marks && !conn.is_fresh() {
        // What it looks at may be left by functions and triggers of an earlier one.
        conn.set_deadline(until);
        forget_session(protocol, conn).await?;
    }
    let mut result = attempt(protocol, conn, work, values, output, until).await;
    if let Err(Stop::Server(error)) = &result
        && conn.is_at_rest()
        && !output.has_begun()
        && protocol.forget_plans(conn, error).await
    {
        output.reset();
        result = attempt(protocol, conn, work, values, output, until).await;
    }
    if marks && conn.is_answered() && !conn.in_transaction() && !conn.is_pooled() {
        conn.set_deadline(Instant::now() + END);
        // One on which that fails is closed, and what was done is done.
        let _closed = forget_session(protocol, conn).await;
    }
    match result {
        Ok(affected) => Ok(Done { affected }),
        Err(stop) => Err(stop.into_failure()),
    }
}

async fn forget_session<P: Protocol>(protocol: &P, conn: &mut P::Conn) -> Result<(), Failure> {
    if protocol.forget_session(conn).await {
        return Ok(());
    }
    conn.give_up();
    Err(broke())
}

async fn attempt<P: Protocol>(
    protocol: &P,
    conn: &mut P::Conn,
    work: &Work,
    values: &[Value],
    output: &mut Output,
    until: Instant,
) -> Result<u64, Stop<P::Error>> {
    let is_transaction = work.is_transaction();
    let batch = Batch {
        begins: is_transaction,
        isolation: work.isolation,
        statements: &work.statements,
        values,
        until,
    };
    let result = run(protocol, conn, batch, Sink::Json(&mut *output)).await;
    if !is_transaction {
        let affected = result?;
        if conn.in_transaction() {
            // A procedure has begun one, and what it did does not hold before that ends.
            let _closed = rollback(protocol, conn).await;
            return Err(Stop::Ours(Failure::refused(LEFT_OPEN)));
        }
        work.judge(output).map_err(Stop::Ours)?;
        return Ok(affected);
    }
    if !conn.is_answered() {
        // It is closed, which undoes all. What came to its end all the same did so too late.
        return result.and(Err(Stop::Ours(Failure::Timeout(Effects::None))));
    }
    let result = result.and_then(|affected| {
        let fits = work.judge(output).map_err(Stop::Ours);
        fits.map(|()| affected)
    });
    match result {
        Ok(affected) => commit(protocol, conn).await.map(|()| affected),
        Err(stop) => {
            if conn.in_transaction() {
                // Where that fails the connection is closed, which does the same.
                let _closed = rollback(protocol, conn).await;
            }
            Err(stop)
        }
    }
}

/// Runs statements within the transaction that is open or begins with them, or on their own, and says what their failing means.
pub(super) async fn run<P: Protocol>(
    protocol: &P,
    conn: &mut P::Conn,
    batch: Batch<'_>,
    sink: Sink<'_>,
) -> Result<u64, Stop<P::Error>> {
    let is_within = batch.begins || conn.in_transaction();
    let result = protocol.run(conn, batch, sink).await;
    // Without a transaction around it, a statement holds as soon as it has run.
    let may_hold = !is_within && batch.statements.iter().any(|one| one.writes);
    let effects = if may_hold && conn.may_have_run() {
        Effects::Unknown
    } else {
        Effects::None
    };
    let broken = match result {
        Ok(Ok(_)) if is_within && !conn.in_transaction() => {
            return Err(Stop::Ours(Failure::Unknown(
                "a statement has ended the transaction that it is a part of".to_owned(),
            )));
        }
        Ok(Err(Stop::Server(error))) if may_hold && error.is_of_the_way() => {
            Broken::lost("a pooler lost it")
        }
        Ok(result) => return result,
        Err(broken) => broken,
    };
    let nothing_kept = is_within || !conn.may_have_run();
    Err(Stop::Ours(broken.failure(effects, nothing_kept)))
}

/// Ends the transaction. It holds by nothing else than the server's word.
pub(in crate::database) async fn commit<P: Protocol>(
    protocol: &P,
    conn: &mut P::Conn,
) -> Result<(), Stop<P::Error>> {
    conn.set_deadline(Instant::now() + END);
    match protocol.command(conn, "COMMIT").await {
        Ok(Ok(true)) if !conn.in_transaction() => Ok(()),
        Ok(Ok(false)) => Err(Stop::Ours(Failure::refused(HAS_FAILED))),
        Ok(Err(error)) if !error.is_fatal() => {
            if conn.in_transaction() {
                let _closed = rollback(protocol, conn).await;
            }
            Err(Stop::Server(Box::new(error)))
        }
        _ => {
            conn.give_up();
            Err(Stop::Ours(Failure::Unknown(
                "the connection to the database broke while the transaction was ended".to_owned(),
            )))
        }
    }
}

/// Undoes the transaction.
pub(super) async fn rollback<P: Protocol>(protocol: &P, conn: &mut P::Conn) -> Result<(), Failure> {
    conn.set_deadline(Instant::now() + END);
    match protocol.command(conn, "ROLLBACK").await {
        Ok(Ok(_)) if !conn.in_transaction() => Ok(()),
        _ => {
            conn.give_up();
            Err(broke())
        }
    }
}

fn broke() -> Failure {
    Failure::Unavailable("the connection to the database broke".to_owned())
}
