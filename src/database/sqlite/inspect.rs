//! Has SQLite look at a statement without running it.

use std::sync::Arc;

use rusqlite::Error;
use tokio::time::Instant;

use super::row::Columns;
use super::shared::Sqlite;
use crate::database::{Effects, Failure, Inspected, Objection, Statement};

/// What is there to be said of a statement. A parameter takes values of any type.
pub(super) async fn inspect(
    client: &Arc<Sqlite>,
    statement: &Statement,
) -> Result<Inspected, Objection> {
    let none = |_: Failure| client.way.down.unreachable("the file is not open");
    let until = Instant::now() + client.statement_timeout;
    let mut in_use = client.lease(until).await.map_err(none)?;
    let text = statement.text.clone();
    let looked = in_use.ask(until, Effects::None, move |file, ticket| {
        file.under(ticket, |connection| {
            let prepared = connection.prepare(&text);
            prepared.map(|prepared| Columns::of(&prepared).names())
        })
    });
    let columns = looked.await.map_err(none)?.map_err(none)?;
    Ok(Inspected {
        parameters: vec![None; statement.types.len()],
        columns: Some(columns.map_err(|error| Objection::Refused(told(&error)))?),
    })
}

/// The statement is not shown, as whoever asks has it.
fn told(error: &Error) -> String {
    match error {
        Error::SqlInputError { msg, offset, .. } => match usize::try_from(*offset) {
            Ok(offset) => format!("{msg}, at byte {}", offset + 1),
            Err(_) => msg.clone(),
        },
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}
