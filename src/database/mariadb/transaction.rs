//! Statements one behind the other, in a transaction or on their own.

use super::conn::Conn;
use super::error::ServerError;
use super::open::Way;
use super::query::{Run, Stop, run};
use crate::database::Isolation;
use crate::database::server::{Answer, Batch};
use crate::database::sink::Sink;

/// Runs all of them, and says how many rows the last one changed or gave.
pub(super) async fn run_all(
    conn: &mut Conn,
    way: &Way,
    batch: Batch<'_>,
    mut sink: Sink<'_>,
) -> Answer<u64, Stop> {
    conn.link.set_deadline(batch.until);
    if batch.begins
        && let Err(error) = begin(conn, batch.isolation).await?
    {
        return Ok(Err(Stop::Server(Box::new(error))));
    }
    let is_within = conn.in_transaction;
    let mut affected = 0;
    for (place, statement) in batch.statements.iter().enumerate() {
        if conn.is_over || (is_within && !conn.in_transaction) {
            // What follows would hold on its own, or come too late. Whoever asked sees that as well.
            break;
        }
        let asked = Run {
            way,
            statement,
            values: batch.values,
            until: batch.until,
        };
        let is_last = place + 1 == batch.statements.len();
        let sink = if is_last {
            &mut sink
        } else {
            &mut Sink::Nowhere
        };
        affected = match run(conn, &asked, sink).await? {
            Ok(affected) => affected,
            Err(stop) => return Ok(Err(stop)),
        };
    }
    Ok(Ok(affected))
}

pub(super) async fn begin(
    conn: &mut Conn,
    isolation: Option<Isolation>,
) -> Answer<(), ServerError> {
    if let Some(isolation) = isolation {
        // It holds for the next transaction.
        let set = format!("SET TRANSACTION ISOLATION LEVEL {}", isolation.words());
        if let Err(error) = conn.command(&set).await? {
            return Ok(Err(error));
        }
    }
    Ok(conn.command("START TRANSACTION").await?.map(drop))
}
