//! The words of SQLite.
//!
//! While a transaction that writes is open nobody else writes, the application neither. So none is open while rows are published:
//! they are read, and one that settles them follows. What keeps other processes from the same rows is a lock beside the file.

use std::time::Duration;

use super::dialect::{Among, Asking, Column, Dialect, Payload, TEXTS};
use super::rows::Encoding;
use crate::database::{Kind, Type, Value};
use crate::relay::{Identifier, TableName};

pub(super) struct Sqlite;

impl Dialect for Sqlite {
    fn kind(&self) -> Kind {
        Kind::Sqlite
    }

    fn locks_rows(&self) -> bool {
        false
    }

    fn describe(&self, name: &TableName, _: &str, asking: &mut Asking) -> String {
        let schema = name.schema.as_ref().map_or("main", Identifier::as_str);
        let mut bind = |name: &str| asking.bind(Type::TEXT, Value::Text(name.to_owned()));
        let (table, schema) = (bind(name.table.as_str()), bind(schema));
        format!("select name, lower(type) from pragma_table_info({table}, {schema})")
    }

    fn begin(&self, _: &str, _: Duration) -> Option<String> {
        None
    }

    fn text(&self, column: &Column<'_>) -> String {
        let quoted = &column.quoted;
        format!(
            "case typeof({quoted}) when 'blob' then lower(hex({quoted})) else cast({quoted} as text) end"
        )
    }

    fn payload(&self, column: &Column<'_>) -> Payload {
        let quoted = &column.quoted;
        let is_json = matches!(column.kind, "json" | "jsonb");
        let (written, encoding) = if is_json {
            let of_binary = format!("typeof({quoted}) = 'blob' and json_valid({quoted}, 8)");
            let text = format!(
                "case when {of_binary} then json({quoted}) else cast({quoted} as text) end"
            );
            (text, Encoding::Json)
        } else {
            (quoted.clone(), Encoding::Bytes)
        };
        Payload {
            written,
            given: "payload",
            encoding,
        }
    }

    fn now(&self, column: &Column<'_>) -> &'static str {
        if column.kind.contains("int") {
            "unixepoch()"
        } else {
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        }
    }

    fn age(&self, column: &Column<'_>) -> String {
        let quoted = &column.quoted;
        format!("(julianday('now') - julianday({quoted}, 'auto')) * 86400.0")
    }

    fn among(&self, table: &str, id: &Column<'_>, ids: &[String], asking: &mut Asking) -> Among {
        let ids = asking.bind(TEXTS, list(ids));
        let own = format!("o.{}", id.quoted);
        // A column of no type takes nothing for what is like it, so that texts are compared, and the whole table is read.
        let is_untyped = id.kind.is_empty() || id.kind.contains("blob");
        let compared = if is_untyped {
            self.text(&Column {
                quoted: own,
                kind: id.kind,
            })
        } else {
            own
        };
        Among {
            from: format!("{table} as o"),
            condition: format!("{compared} in (select value from json_each({ids}))"),
        }
    }

    fn none_of(&self, text: &str, list_of: &[String], asking: &mut Asking) -> String {
        let given = asking.bind(TEXTS, list(list_of));
        format!("{text} not in (select value from json_each({given}))")
    }

    fn channels(&self, _: Option<&Identifier>) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

fn list(values: &[String]) -> Value {
    Value::List(values.iter().cloned().map(Value::Text).collect())
}
