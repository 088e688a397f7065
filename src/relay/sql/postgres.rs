//! The statements for PostgreSQL.

use std::sync::Arc;

use super::dialect::{Asked, Dialect, Known};
use super::rows::Encoding;
use crate::database::{Kind, Scalar, Statement, Type, Value};
use crate::relay::outbox::{Excluded, Failed, Waiting};
use crate::relay::{After, Columns, Config, Identifier, TableName};

/// The first half of the advisory lock's number, so that it is nobody else's: "outr". The second one is the table's own.
const LOCK_CLASS: u32 = 0x6f75_7472;
/// What is added to the time that publishing may take before the server ends a transaction in which nothing happens: who
/// has begun it is gone, and nobody else gets at the rows.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// What the server takes a value for: the type of the column that it is compared with.
const INFERRED: Type = Type {
    scalar: Scalar::Inferred,
    is_list: false,
};
const INFERRED_LIST: Type = Type {
    scalar: Scalar::Inferred,
    is_list: true,
};
const TEXTS: Type = Type {
    scalar: Scalar::Text,
    is_list: true,
};

pub(super) struct Postgres {
    table: String,
    /// The same as text in a statement.
    class: String,
    columns: Columns,
    selected: Arc<[Identifier]>,
    after: After,
    batch: u16,
    max_body: u64,
    /// How long a transaction may be idle, in milliseconds.
    idle: u128,
}

impl Postgres {
    pub fn new(config: &Config, selected: &Arc<[Identifier]>) -> Self {
        let table = table(&config.table);
        Postgres {
            class: format!("'{table}'::regclass"),
            table,
            columns: config.columns.clone(),
            selected: selected.clone(),
            after: config.after,
            batch: config.batch,
            max_body: config.publish.max_body.0,
            idle: (2 * config.publish.confirm_timeout.0 + GRACE).as_millis(),
        }
    }

    /// What holds for rows that wait.
    fn waits(&self) -> String {
        let null = |column: &Identifier| format!("{} is null", quoted(column));
        let conditions = [&self.columns.published_at, &self.columns.error];
        let conditions: Vec<String> = conditions.into_iter().flatten().map(null).collect();
        if conditions.is_empty() {
            return "true".to_owned();
        }
        conditions.join(" and ")
    }

    fn order(&self) -> String {
        // A name without the table is that of the answer, whose id is text.
        let (order, id) = (self.columns.order(), &self.columns.id);
        if order == id {
            format!("o.{}", quoted(id))
        } else {
            format!("o.{}, o.{}", quoted(order), quoted(id))
        }
    }

    /// The bytes of the payload, and those of the other values.
    fn sizes(&self, known: &Known) -> String {
        let payload = if is_bytes(known, &self.columns.payload) {
            quoted(&self.columns.payload)
        } else {
            text(&self.columns.payload)
        };
        let others = self.selected.iter().map(|column| {
            let text = text(column);
            format!("coalesce(octet_length({text}), 0)")
        });
        let others: Vec<String> = others.chain(["0".to_owned()]).collect();
        format!("octet_length({payload}), {}", others.join(" + "))
    }

    /// None where the table has no place for it.
    fn note_failed(&self, failed: &Failed, id: Value) -> Option<Asked> {
        let mut sets = Vec::new();
        let mut values = vec![id];
        if let Some(column) = &self.columns.attempts {
            values.push(Value::Text(failed.attempts.to_string()));
            sets.push(format!("{} = ${}", quoted(column), values.len()));
        }
        if let (Some(column), Some(why)) = (&self.columns.error, &failed.aside) {
            values.push(Value::Text(why.replace('\0', "\u{fffd}")));
            sets.push(format!("{} = ${}", quoted(column), values.len()));
        }
        if sets.is_empty() {
            return None;
        }
        let statement = format!(
            "update {} set {} where {} = $1",
            self.table,
            sets.join(", "),
            quoted(&self.columns.id)
        );
        let types = vec![INFERRED; values.len()];
        Some(asked(&statement, &types, values))
    }
}

impl Dialect for Postgres {
    fn describe(&self) -> Asked {
        let statement = format!(
            "select a.attname::text, format_type(case t.typtype when 'd' then t.typbasetype else a.atttypid end, null) \
             from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid \
             where a.attrelid = {} and a.attnum > 0 and not a.attisdropped",
            self.class
        );
        asked(&statement, &[], Vec::new())
    }

    fn lock(&self) -> Asked {
        // Tables that are empty most of the time are thought to be small when they are not, and a plan that reads and sorts all
        // of one for each few rows is as good then.
        let lock = format!(
            "select pg_try_advisory_xact_lock({LOCK_CLASS}, {}::oid::int4), \
             set_config('idle_in_transaction_session_timeout', '{}', true), \
             set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)",
            self.class, self.idle
        );
        asked(&lock, &[], Vec::new())
    }

    fn candidates(&self, known: &Known, but: &Excluded) -> Asked {
        let id = text(&self.columns.id);
        let (key, held) = match &self.columns.key {
            // All are in one order.
            None => ("''".to_owned(), "'' <> all($2)".to_owned()),
            Some(column) => {
                let key = text(column);
                let held = format!("({key} is null or {key} <> all($2))");
                (key, held)
            }
        };
        let statement = format!(
            "select {id}, {key}, {} from {} o where {} and {id} <> all($1) and {held} order by {} limit {}",
            self.sizes(known),
            self.table,
            self.waits(),
            self.order(),
            self.batch + 1
        );
        let values = vec![list(&but.ids), list(&but.keys)];
        asked(&statement, &[TEXTS, TEXTS], values)
    }

    fn fetch(&self, known: &Known, ids: &[String]) -> Asked {
        let payload = &self.columns.payload;
        let (written, given) = if is_bytes(known, payload) {
            (quoted(payload), "encode(payload, 'hex')")
        } else {
            (text(payload), "payload")
        };
        let attempts = match &self.columns.attempts {
            Some(column) => format!("coalesce({}, 0)::text", quoted(column)),
            None => "'0'".to_owned(),
        };
        // What has grown since it was chosen is as large as it was not.
        let bounded = |name: &str, given: &str| {
            let most = self.max_body;
            format!("case when octet_length({name}) <= {most} then {given} end")
        };
        let mut inner = vec![
            format!("{} as id", text(&self.columns.id)),
            format!("{written} as payload"),
            format!("{attempts} as attempts"),
        ];
        let mut outer = vec![
            "id".to_owned(),
            bounded("payload", given),
            "attempts".to_owned(),
        ];
        for (place, column) in self.selected.iter().enumerate() {
            let name = format!("value{place}");
            inner.push(format!("{} as {name}", text(column)));
            outer.push(bounded(&name, &name));
        }
        // The inner one is for making each text once.
        let statement = format!(
            "select {} from (select {} from {} o where o.{} = any($1) and {} for update skip locked) taken",
            outer.join(", "),
            inner.join(", "),
            self.table,
            quoted(&self.columns.id),
            self.waits()
        );
        asked(&statement, &[INFERRED_LIST], vec![list(ids)])
    }

    fn encoding(&self, known: &Known) -> Encoding {
        match known.kind(&self.columns.payload) {
            "bytea" => Encoding::Hex,
            "json" | "jsonb" => Encoding::Json,
            _ => Encoding::Text,
        }
    }

    fn settle_published(&self, _: &Known, ids: &[String]) -> Asked {
        let (table, id) = (&self.table, quoted(&self.columns.id));
        let statement = match (self.after, &self.columns.published_at) {
            (After::Mark, Some(column)) => format!(
                "update {table} set {} = clock_timestamp() where {id} = any($1)",
                quoted(column)
            ),
            _ => format!("delete from {table} where {id} = any($1)"),
        };
        asked(&statement, &[INFERRED_LIST], vec![list(ids)])
    }

    fn settle_failed(&self, _: &Known, failed: &Failed) -> Option<Asked> {
        self.note_failed(failed, Value::Text(failed.id.clone()))
    }

    fn rehearsal(&self, known: &Known, failed: &Failed) -> Vec<Asked> {
        let published = self.settle_published(known, &[]);
        let failed = self.note_failed(failed, Value::Null);
        [published].into_iter().chain(failed).collect()
    }

    fn at_once(&self) -> Option<Asked> {
        Some(asked("set constraints all immediate", &[], Vec::new()))
    }

    fn savepoint(&self) -> [Asked; 3] {
        [
            "savepoint outrigger",
            "rollback to savepoint outrigger",
            "release savepoint outrigger",
        ]
        .map(|statement| asked(statement, &[], Vec::new()))
    }

    fn waiting(&self, _: &Known) -> Asked {
        let most = Waiting::MOST;
        let counted = |condition: &str| {
            format!(
                "(select count(*) from (select 1 from {} where {condition} limit {most}) counted)",
                self.table
            )
        };
        let rows = counted(&self.waits());
        let oldest = match &self.columns.created_at {
            None => "null".to_owned(),
            Some(column) => format!(
                "(select extract(epoch from clock_timestamp() - {}) from {} o where {} order by {} limit 1)",
                quoted(column),
                self.table,
                self.waits(),
                self.order()
            ),
        };
        let aside = match &self.columns.error {
            None => "null".to_owned(),
            Some(column) => counted(&format!("{} is not null", quoted(column))),
        };
        asked(
            &format!("select {rows}, {oldest}, {aside}"),
            &[],
            Vec::new(),
        )
    }
}

fn asked(text: &str, types: &[Type], values: Vec<Value>) -> Asked {
    (Statement::new(text, types, Kind::Postgres), values)
}

fn list(values: &[String]) -> Value {
    Value::List(values.iter().cloned().map(Value::Text).collect())
}

fn quoted(name: &Identifier) -> String {
    format!("\"{name}\"")
}

fn text(name: &Identifier) -> String {
    format!("\"{name}\"::text")
}

fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.table)),
        None => quoted(&name.table),
    }
}

fn is_bytes(known: &Known, name: &Identifier) -> bool {
    known.kind(name) == "bytea"
}
