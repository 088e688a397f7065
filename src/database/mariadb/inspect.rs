//! Has the server look at a statement without running it.

use std::sync::Arc;

use tokio::time::Instant;

use super::query::{Run, Stop, prepare};
use super::shared::MariaDb;
use crate::database::link::Broken;
use crate::database::{Inspected, Kind, Objection, Statement, scan};

/// What is there to be said of a statement. For what types it takes parameters, the server does not tell.
pub(super) async fn inspect(
    client: &Arc<MariaDb>,
    statement: &Statement,
) -> Result<Inspected, Objection> {
    let none = || {
        let why = client.down.last_error().map(|(_, why)| why);
        Objection::Unreachable(why.unwrap_or_else(|| "there is no connection".to_owned()))
    };
    let mut in_use = client.lease(None).await.map_err(|_| none())?;
    let conn = in_use.conn().ok_or_else(none)?;
    let run = Run {
        way: &client.way,
        statement,
        values: &[],
        until: Instant::now() + client.statement_timeout,
    };
    conn.link.set_deadline(run.until);
    let broken = |broken: Broken| Objection::Unreachable(broken.words());
    let prepared = prepare(conn, &run).await.map_err(broken)?;
    in_use.give_back();
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
