//! Has the server look at a statement without running it.

use std::collections::BTreeMap;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::time::Instant;

use super::conn::{Conn, LONGEST};
use super::error::ServerError;
use super::open::Way;
use super::query::run;
use super::wire;
use crate::database::link::Broken;
use crate::database::server::Batch;
use crate::database::sink::Sink;
use crate::database::types::Scalar;
use crate::database::{Inspected, Kind, Objection, Statement, Table, Type, Value};

/// Types by their numbers, a list as that of its members.
const NAMES: &str = "select t.oid, coalesce(m.typname || '[]', t.typname) from pg_catalog.pg_type t \
     left join pg_catalog.pg_type m on m.typarray = t.oid where t.oid = any($1)";

/// What is there to be said of a statement.
pub(super) async fn inspect(
    conn: &mut Conn,
    way: &Way,
    statement: &Statement,
    until: Instant,
) -> Result<Inspected, Objection> {
    let broken = |broken: Broken| Objection::Unreachable(broken.words());
    let declared = describe(conn, &statement.text, &statement.types).await;
    let declared = declared
        .map_err(broken)?
        .map_err(|error| Objection::Refused(error.in_words()))?;
    // Where a type cannot be told without its declaration, there is nothing to compare it with.
    let bare = describe(conn, &statement.text, &[]).await.map_err(broken)?;
    let numbers = bare.map(|bare| bare.parameters).unwrap_or_default();
    let names = names(conn, way, &numbers, until).await.map_err(broken)?;
    let name = |number: &u32| names.get(number).cloned();
    Ok(Inspected {
        parameters: numbers.iter().map(name).collect(),
        columns: Some(declared.columns),
    })
}

/// A statement as the server describes it.
#[derive(Default)]
struct Described {
    /// The numbers of their types.
    parameters: Vec<u32>,
    columns: Vec<String>,
}

async fn describe(
    conn: &mut Conn,
    text: &str,
    types: &[Type],
) -> Result<Result<Described, ServerError>, Broken> {
    let unfit = |error: std::io::Error| Broken::Lost(error.to_string());
    wire::parse("", text, types, &mut conn.write).map_err(unfit)?;
    wire::describe_statement("", &mut conn.write).map_err(unfit)?;
    frontend::sync(&mut conn.write);
    conn.awaited += 1;
    conn.send().await?;
    let mut result = Ok(Described::default());
    loop {
        match (conn.message(LONGEST).await?, &mut result) {
            (Message::ParameterDescription(body), Ok(described)) => {
                let parameters = body.parameters().collect();
                described.parameters = parameters.map_err(unfit)?;
            }
            (Message::RowDescription(body), Ok(described)) => {
                let names = body.fields().map(|field| Ok(field.name().to_owned()));
                described.columns = names.collect().map_err(unfit)?;
            }
            (Message::ErrorResponse(body), result) => {
                let error = ServerError::read(&body);
                if error.is_fatal {
                    return Err(Broken::Lost(error.in_words()));
                }
                *result = Err(error);
            }
            (Message::ReadyForQuery(body), _) => {
                conn.ready(&body);
                return Ok(result);
            }
            _ => {}
        }
    }
}

/// The names of types.
async fn names(
    conn: &mut Conn,
    way: &Way,
    numbers: &[u32],
    until: Instant,
) -> Result<BTreeMap<u32, String>, Broken> {
    let types = [Type {
        scalar: Scalar::Inferred,
        is_list: false,
    }];
    let question = Statement::new(NAMES, &types, Kind::Postgres);
    let numbers = numbers.iter().map(|number| Value::Text(number.to_string()));
    let batch = Batch {
        begins: false,
        isolation: None,
        statements: std::slice::from_ref(&question),
        values: &[Value::List(numbers.collect())],
        until,
    };
    let mut table = Table::default();
    // Whoever may not look them up is not told them.
    let _asked = run(conn, way, batch, Sink::Table(&mut table)).await?;
    let pairs = table.rows.iter().filter_map(|row| match row.as_slice() {
        [Some(number), Some(name)] => Some((
            std::str::from_utf8(number).ok()?.parse().ok()?,
            String::from_utf8_lossy(name).into_owned(),
        )),
        _ => None,
    });
    Ok(pairs.collect())
}
