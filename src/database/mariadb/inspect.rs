//! Has the server look at a statement without running it.

use tokio::time::Instant;

use super::conn::Conn;
use super::open::Way;
use super::query::{Run, Stop, prepare};
use crate::database::link::Broken;
use crate::database::{Inspected, Kind, Objection, Statement, scan};

/// What is there to be said of a statement. For what types it takes parameters, the server does not tell.
pub(super) async fn inspect(
    conn: &mut Conn,
    way: &Way,
    statement: &Statement,
    until: Instant,
) -> Result<Inspected, Objection> {
    let run = Run {
        way,
        statement,
        values: &[],
        until,
    };
    let broken = |broken: Broken| Objection::Unreachable(broken.words());
    let prepared = prepare(conn, &run).await.map_err(broken)?;
    match prepared {
        Ok((_, columns)) => Ok(Inspected {
            parameters: vec![None; statement.types.len()],
            // What a procedure gives, only running it tells.
            columns: (scan(&statement.text, Kind::MySql).first != "call").then_some(columns),
        }),
        Err(Stop::Server(error)) => Err(Objection::Refused(error.told())),
        Err(Stop::Ours(_)) => {
            let why = "it sees other parameters in the statement than there are";
            Err(Objection::Refused(why.to_owned()))
        }
    }
}
