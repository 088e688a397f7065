//! The words of PostgreSQL.

use std::time::Duration;

use super::dialect::{Among, Asking, Column, Dialect, INFERRED_LIST, Payload, TEXTS};
use super::rows::Encoding;
use crate::database::{Kind, Value};
use crate::relay::{Identifier, TableName};

/// The first half of the advisory lock's number, so that it is nobody else's: "outr". The second one is the table's own.
const LOCK_CLASS: u32 = 0x6f75_7472;

pub(super) struct Postgres;

impl Dialect for Postgres {
    fn kind(&self) -> Kind {
        Kind::Postgres
    }

    fn describe(&self, _: &TableName, table: &str, _: &mut Asking) -> String {
        format!(
            "select a.attname::text, format_type(case t.typtype when 'd' then t.typbasetype else a.atttypid end, null) \
             from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid \
             where a.attrelid = {} and a.attnum > 0 and not a.attisdropped",
            class(table)
        )
    }

    /// One process at a time takes rows of a table.
    fn begin(&self, table: &str, idle: Duration) -> Option<String> {
        // Tables that are empty most of the time are thought to be small when they are not, and a plan that reads and sorts all
        // of one for each few rows is as good then.
        Some(format!(
            "select pg_try_advisory_xact_lock({LOCK_CLASS}, {}::oid::int4), \
             set_config('idle_in_transaction_session_timeout', '{}', true), \
             set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)",
            class(table),
            idle.as_millis()
        ))
    }

    fn text(&self, column: &Column<'_>) -> String {
        format!("{}::text", column.quoted)
    }

    fn payload(&self, column: &Column<'_>) -> Payload {
        let text = || self.text(column);
        let (written, given, encoding) = match column.kind {
            "bytea" => (
                column.quoted.clone(),
                "encode(payload, 'hex')",
                Encoding::Hex,
            ),
            "json" | "jsonb" => (text(), "payload", Encoding::Json),
            _ => (text(), "payload", Encoding::Bytes),
        };
        Payload {
            written,
            given,
            encoding,
        }
    }

    fn now(&self, _: &Column<'_>) -> &'static str {
        "clock_timestamp()"
    }

    fn age(&self, column: &Column<'_>) -> String {
        format!("extract(epoch from clock_timestamp() - {})", column.quoted)
    }

    fn among(&self, table: &str, id: &Column<'_>, ids: &[String], asking: &mut Asking) -> Among {
        let ids = asking.bind(INFERRED_LIST, list(ids));
        Among {
            from: format!("{table} o"),
            condition: format!("o.{} = any({ids})", id.quoted),
        }
    }

    fn none_of(&self, text: &str, list_of: &[String], asking: &mut Asking) -> String {
        let given = asking.bind(TEXTS, list(list_of));
        format!("{text} <> all({given})")
    }

    fn at_once(&self) -> Option<&'static str> {
        Some("set constraints all immediate")
    }

    fn channels(&self, notify: Option<&Identifier>) -> Option<Vec<String>> {
        Some(vec![notify?.as_str().to_owned()])
    }
}

fn list(values: &[String]) -> Value {
    Value::List(values.iter().cloned().map(Value::Text).collect())
}

/// A table as a value of its type for tables.
fn class(table: &str) -> String {
    format!("'{table}'::regclass")
}
