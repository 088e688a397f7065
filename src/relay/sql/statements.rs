//! The statements of a relay, in the words of its database.

use std::sync::Arc;
use std::time::Duration;

use super::dialect::{self, Among, Asked, Asking, Column, Dialect, INFERRED, Known};
use super::rows::Encoding;
use crate::database::{Kind, Value};
use crate::relay::outbox::{Excluded, Failed, Waiting};
use crate::relay::{After, Columns, Config, Identifier, TableName};

/// What is added to the time that publishing may take before the server ends a transaction in which nothing happens: who
/// has begun it is gone, and nobody else gets at the rows.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Statements {
    pub dialect: Box<dyn Dialect>,
    name: TableName,
    /// In quotes.
    table: String,
    columns: Columns,
    selected: Arc<[Identifier]>,
    after: After,
    batch: u16,
    max_body: u64,
    /// How long nothing may happen in a transaction.
    idle: Duration,
}

impl Statements {
    pub fn new(kind: Kind, config: &Config, selected: &Arc<[Identifier]>) -> Self {
        let dialect = dialect::of(kind);
        let parts = config.table.schema.iter().chain([&config.table.table]);
        let parts: Vec<String> = parts.map(|part| dialect.quoted(part)).collect();
        Statements {
            dialect,
            name: config.table.clone(),
            table: parts.join("."),
            columns: config.columns.clone(),
            selected: selected.clone(),
            after: config.after,
            batch: config.batch,
            max_body: config.publish.max_body.0,
            idle: 2 * config.publish.confirm_timeout.0 + GRACE,
        }
    }

    /// The columns of the table, of which [`Known`] is made.
    pub fn describe(&self) -> Asked {
        let mut asking = self.asking();
        let text = self.dialect.describe(&self.name, &self.table, &mut asking);
        asking.asked(&text)
    }

    /// What a transaction that takes rows begins with. Where it gives a value, that is whether the transaction may take some.
    pub fn begin(&self) -> Option<Asked> {
        let text = self.dialect.begin(&self.table, self.idle)?;
        Some(self.asking().asked(&text))
    }

    /// Which rows are next, in their order: the id, the key, the bytes of the payload, and of the other values. There may be
    /// as many as the batch has, and one more.
    pub fn candidates(&self, known: &Known, but: &Excluded) -> Asked {
        let mut asking = self.asking();
        let id = self.text(known, &self.columns.id);
        let key = match &self.columns.key {
            Some(column) => self.text(known, column),
            // All are in one order.
            None => "''".to_owned(),
        };
        let mut held = String::new();
        if !but.ids.is_empty() {
            let none = self.dialect.none_of(&id, &but.ids, &mut asking);
            held.push_str(&format!(" and {none}"));
        }
        if !but.keys.is_empty() {
            let none = self.dialect.none_of(&key, &but.keys, &mut asking);
            held.push_str(&format!(" and ({key} is null or {none})"));
        }
        let payload = self.column(known, &self.columns.payload);
        let payload = self.dialect.payload(&payload).written;
        let others = self.selected.iter().map(|column| {
            let text = self.text(known, column);
            format!("coalesce(octet_length({text}), 0)")
        });
        let others: Vec<String> = others.chain(["0".to_owned()]).collect();
        let text = format!(
            "select {id}, {key}, octet_length({payload}), {} from {} o where {}{held} order by {} limit {}",
            others.join(" + "),
            self.table,
            self.waits(),
            self.order(),
            self.batch + 1
        );
        asking.asked(&text)
    }

    /// Locks rows, but for those that somebody else has locked, where rows are locked, and reads them: the id, the payload, the attempts, and the
    /// values that are asked for.
    pub fn fetch(&self, known: &Known, ids: &[String]) -> Asked {
        let payload = self.column(known, &self.columns.payload);
        let payload = self.dialect.payload(&payload);
        let attempts = match &self.columns.attempts {
            Some(column) => format!("coalesce({}, '0')", self.text(known, column)),
            None => "'0'".to_owned(),
        };
        // What has grown since it was chosen is as large as it was not.
        let bounded = |name: &str, given: &str| {
            let most = self.max_body;
            format!("case when octet_length({name}) <= {most} then {given} end")
        };
        let mut inner = vec![
            format!("{} as id", self.text(known, &self.columns.id)),
            format!("{} as payload", payload.written),
            format!("{attempts} as attempts"),
        ];
        let mut outer = vec![
            "id".to_owned(),
            bounded("payload", payload.given),
            "attempts".to_owned(),
        ];
        for (place, column) in self.selected.iter().enumerate() {
            let name = format!("value{place}");
            inner.push(format!("{} as {name}", self.text(known, column)));
            outer.push(bounded(&name, &name));
        }
        let mut asking = self.asking();
        let Among { from, condition } = self.among(known, ids, &mut asking);
        let lock = if self.dialect.locks_rows() {
            self.dialect.lock()
        } else {
            ""
        };
        // The inner one is for making each text once.
        let text = format!(
            "select {} from (select {} from {from} where {condition} and {} {lock}) taken",
            outer.join(", "),
            inner.join(", "),
            self.waits()
        );
        asking.asked(&text)
    }

    /// How the payload stands in the answer to that.
    pub fn encoding(&self, known: &Known) -> Encoding {
        let payload = self.column(known, &self.columns.payload);
        self.dialect.payload(&payload).encoding
    }

    /// Says that rows are published.
    pub fn settle_published(&self, known: &Known, ids: &[String]) -> Asked {
        let mut asking = self.asking();
        let among = self.among(known, ids, &mut asking);
        let text = match (self.after, &self.columns.published_at) {
            (After::Mark, Some(column)) => {
                let column = self.column(known, column);
                let set = format!("{} = {}", column.quoted, self.dialect.now(&column));
                self.dialect.update(&among, &set)
            }
            _ => self.dialect.delete(&among),
        };
        asking.asked(&text)
    }

    /// Says what became of a row that was not published. None where the table has no place for that.
    pub fn settle_failed(&self, known: &Known, failed: &Failed) -> Option<Asked> {
        self.note_failed(known, failed, std::slice::from_ref(&failed.id))
    }

    /// All that is asked about rows that were chosen, about no row.
    pub fn rehearsal(&self, known: &Known, failed: &Failed) -> Vec<Asked> {
        let fetched = self.fetch(known, &[]);
        let published = self.settle_published(known, &[]);
        let failed = self.note_failed(known, failed, &[]);
        [fetched, published].into_iter().chain(failed).collect()
    }

    /// Has constraints that are looked at when the transaction ends looked at with each statement, where there are such.
    pub fn at_once(&self) -> Option<Asked> {
        Some(self.asking().asked(self.dialect.at_once()?))
    }

    /// Makes a point to which the transaction can be undone, undoes it to there, and forgets the point.
    pub fn savepoint(&self) -> [Asked; 3] {
        [
            "savepoint outrigger",
            "rollback to savepoint outrigger",
            "release savepoint outrigger",
        ]
        .map(|text| self.asking().asked(text))
    }

    /// How many rows wait, how old the oldest is in seconds, and how many are set aside.
    pub fn waiting(&self, known: &Known) -> Asked {
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
                "(select {} from {} o where {} order by {} limit 1)",
                self.dialect.age(&self.column(known, column)),
                self.table,
                self.waits(),
                self.order()
            ),
        };
        let aside = match &self.columns.error {
            None => "null".to_owned(),
            Some(column) => counted(&format!("{} is not null", self.dialect.quoted(column))),
        };
        self.asking()
            .asked(&format!("select {rows}, {oldest}, {aside}"))
    }

    /// None where the table has no place for it.
    fn note_failed(&self, known: &Known, failed: &Failed, ids: &[String]) -> Option<Asked> {
        let mut asking = self.asking();
        let among = self.among(known, ids, &mut asking);
        let mut sets = Vec::new();
        let mut set = |column: &Identifier, value: String| {
            let value = asking.bind(INFERRED, Value::Text(value));
            sets.push(format!("{} = {value}", self.dialect.quoted(column)));
        };
        if let Some(column) = &self.columns.attempts {
            set(column, failed.attempts.to_string());
        }
        if let (Some(column), Some(why)) = (&self.columns.error, &failed.aside) {
            set(column, why.replace('\0', "\u{fffd}"));
        }
        if sets.is_empty() {
            return None;
        }
        let text = self.dialect.update(&among, &sets.join(", "));
        Some(asking.asked(&text))
    }

    /// What holds for rows that wait.
    fn waits(&self) -> String {
        let null = |column: &Identifier| format!("{} is null", self.dialect.quoted(column));
        let conditions = [&self.columns.published_at, &self.columns.error];
        let conditions: Vec<String> = conditions.into_iter().flatten().map(null).collect();
        if conditions.is_empty() {
            return "1 = 1".to_owned();
        }
        conditions.join(" and ")
    }

    fn order(&self) -> String {
        let (order, id) = (self.columns.order(), &self.columns.id);
        // A name without the table may be that of the answer, whose id is text.
        let order_by = |name: &Identifier| format!("o.{}", self.dialect.quoted(name));
        if order == id {
            order_by(id)
        } else {
            format!("{}, {}", order_by(order), order_by(id))
        }
    }

    fn among(&self, known: &Known, ids: &[String], asking: &mut Asking) -> Among {
        let id = self.column(known, &self.columns.id);
        self.dialect.among(&self.table, &id, ids, asking)
    }

    fn text(&self, known: &Known, name: &Identifier) -> String {
        self.dialect.text(&self.column(known, name))
    }

    fn column<'a>(&self, known: &'a Known, name: &Identifier) -> Column<'a> {
        Column {
            quoted: self.dialect.quoted(name),
            kind: known.kind(name),
        }
    }

    fn asking(&self) -> Asking {
        Asking::new(self.dialect.kind())
    }
}
