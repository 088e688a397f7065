//! The words of MariaDB (from 10.6 on) and of MySQL (from 8.0.1 on), which have `skip locked`.
//!
//! No lock keeps other processes away. Each takes the first rows that wait, in their order, and locks them; where one of these is
//! locked by somebody else, or gone by then, no others of its key are taken behind it.
//!
//! Transactions are `read committed`: under `repeatable read`, locks are on what is between rows as well, and keep the application
//! from inserting. Rows are found by a join that begins with their ids. With a list of ids as a condition the server may as well read
//! the whole table, and when it deletes it waits at each row that somebody else has locked, be it one that is being inserted.

use std::time::Duration;

use super::dialect::{Among, Asking, Column, Dialect, INFERRED, Payload};
use super::rows::Encoding;
use crate::database::{Kind, Type, Value};
use crate::relay::{Identifier, TableName};

/// How long a list of values may be in a statement.
const LENGTHS: [usize; 4] = [1, 16, 128, 1024];

pub(super) struct MariaDb;

impl Dialect for MariaDb {
    fn kind(&self) -> Kind {
        Kind::MySql
    }

    fn quoted(&self, name: &Identifier) -> String {
        format!("`{name}`")
    }

    fn describe(&self, name: &TableName, _: &str, asking: &mut Asking) -> String {
        let mut bind = |name: Option<&Identifier>| {
            let value = name.map_or(Value::Null, |name| Value::Text(name.as_str().to_owned()));
            asking.bind(Type::TEXT, value)
        };
        let (table, schema) = (bind(Some(&name.table)), bind(name.schema.as_ref()));
        // JSON is a text with a constraint in MariaDB, which says so in no other way. Texts have their collation behind the type.
        format!(
            "select c.column_name, concat_ws(' ', \
             /*M! if(exists(select 1 from information_schema.check_constraints k \
             where k.constraint_schema = c.table_schema and k.table_name = c.table_name \
             and k.check_clause = concat('json_valid(`', c.column_name, '`)')), 'json', */ c.column_type /*M! ) */, \
             c.collation_name), case when e.transactions <> 'YES' then t.engine end \
             from information_schema.columns c join information_schema.tables t \
             on t.table_schema = c.table_schema and t.table_name = c.table_name \
             left join information_schema.engines e on e.engine = t.engine \
             where c.table_name = {table} and c.table_schema = coalesce({schema}, database())"
        )
    }

    /// MySQL (9.7) would lock what `json_table` gives as well, and cannot (error 3569); MariaDB has no words for which table is meant, and
    /// takes these for a comment.
    fn lock(&self) -> &'static str {
        "for update /*!80001 of o */ skip locked"
    }

    /// MySQL has no such limit: there, rows of who stands still are locked until its connection ends. Where nobody waits for locks,
    /// which MySQL has nobody ask for, MariaDB (10.11.19) skips no locked row either, but ends the statement with error 1180.
    fn begin(&self, _: &str, idle: Duration) -> Option<String> {
        Some(format!(
            "set /*M! idle_transaction_timeout = {}, innodb_lock_wait_timeout = greatest(1, @@innodb_lock_wait_timeout), */ \
             sql_mode = @@sql_mode",
            idle.as_secs()
        ))
    }

    fn text(&self, column: &Column<'_>) -> String {
        if is_bytes(column.kind) {
            return format!("lower(hex({}))", column.quoted);
        }
        format!("cast({} as char)", column.quoted)
    }

    fn payload(&self, column: &Column<'_>) -> Payload {
        let (written, encoding) = if is_bytes(column.kind) {
            (column.quoted.clone(), Encoding::Bytes)
        } else if column.kind.starts_with("json") {
            (self.text(column), Encoding::Json)
        } else {
            (self.text(column), Encoding::Bytes)
        };
        Payload {
            written,
            given: "payload",
            encoding,
        }
    }

    fn now(&self, _: &Column<'_>) -> &'static str {
        "now(6)"
    }

    fn age(&self, column: &Column<'_>) -> String {
        let quoted = &column.quoted;
        format!("timestampdiff(microsecond, {quoted}, now(6)) / 1000000")
    }

    fn among(&self, table: &str, id: &Column<'_>, ids: &[String], asking: &mut Asking) -> Among {
        let list = asking.bind(INFERRED, Value::Text(serde_json::json!(ids).to_string()));
        let (of, given) = given_as(id.kind);
        Among {
            from: format!(
                "json_table({list}, '$[*]' columns (outrigger_id {of} path '$')) j \
                 straight_join {table} o on o.{} = {given}",
                id.quoted
            ),
            condition: "1 = 1".to_owned(),
        }
    }

    fn none_of(&self, text: &str, list: &[String], asking: &mut Asking) -> String {
        // One of few statements, however many there are: each is prepared once.
        let count = LENGTHS.iter().copied().find(|length| *length >= list.len());
        let count = count.unwrap_or(list.len());
        let filled = list
            .iter()
            .chain(std::iter::repeat_n(&list[0], count - list.len()));
        let places: Vec<String> = filled
            .map(|one| asking.bind(INFERRED, Value::Text(one.clone())))
            .collect();
        format!("{text} collate utf8mb4_bin not in ({})", places.join(", "))
    }

    fn delete(&self, among: &Among) -> String {
        format!("delete o from {}", among.from)
    }

    fn update(&self, among: &Among, sets: &str) -> String {
        format!("update {} set {sets}", among.from)
    }
}

/// What an id of this type is read as from a list, and what it is compared as, so that the index of the ids serves.
fn given_as(kind: &str) -> (&str, String) {
    const TEXT: &str = "varchar(768)";
    const GIVEN: &str = "j.outrigger_id";
    if is_bytes(kind) {
        return (TEXT, format!("unhex({GIVEN})"));
    }
    if kind.starts_with("uuid") {
        return (TEXT, format!("cast({GIVEN} as uuid)"));
    }
    let last = kind.rsplit_once(' ').map(|(_, last)| last);
    // `utf8mb4_general_ci`, behind the type of a text.
    let collation = last.and_then(|last| Some((last.split_once('_')?.0, last)));
    match collation {
        Some((charset, collation)) => (
            TEXT,
            format!("convert({GIVEN} using {charset}) collate {collation}"),
        ),
        None => (kind, GIVEN.to_owned()),
    }
}

fn is_bytes(kind: &str) -> bool {
    kind.contains("blob") || kind.contains("binary")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_compared_as_what_its_column_is() {
        let id = "j.outrigger_id";
        for (kind, of, given) in [
            ("bigint(20)", "bigint(20)", id.to_owned()),
            ("bigint unsigned", "bigint unsigned", id.to_owned()),
            ("decimal(30,0)", "decimal(30,0)", id.to_owned()),
            ("binary(16)", "varchar(768)", format!("unhex({id})")),
            ("uuid", "varchar(768)", format!("cast({id} as uuid)")),
            (
                "char(36) utf8mb4_uca1400_ai_ci",
                "varchar(768)",
                format!("convert({id} using utf8mb4) collate utf8mb4_uca1400_ai_ci"),
            ),
            (
                "varchar(9) latin1_swedish_ci",
                "varchar(768)",
                format!("convert({id} using latin1) collate latin1_swedish_ci"),
            ),
        ] {
            assert_eq!(given_as(kind), (of, given), "{kind}");
        }
    }
}
