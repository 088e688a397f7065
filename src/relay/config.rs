//! The block of a relay.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::template::RowTemplate;
use super::{Identifier, TableName};
use crate::broker::{self, AddressKeys};
use crate::database;
use crate::value::problem::Problems;
use crate::value::{ByteSize, Duration, FieldName, Name};

/// The most rows of one transaction: more is memory and longer locks, and no speed.
const MOST_AT_ONCE: u16 = 1000;
/// More often is load, and nothing that NOTIFY would not do better.
const SHORTEST_POLL: std::time::Duration = std::time::Duration::from_millis(10);

/// `[relays.NAME]`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of the database.
    pub database: Name,
    /// Where the rows are, as the catalog has it.
    pub table: TableName,
    #[serde(default)]
    pub columns: Columns,
    pub publish: Publish,
    /// What becomes of a row that is published.
    #[serde(default)]
    pub after: After,
    /// The most rows of one transaction.
    #[serde(default = "batch")]
    pub batch: u16,
    /// How often is looked whether there are rows.
    #[serde(default = "poll")]
    pub poll: Duration,
    /// PostgreSQL: the channel on which is told that there are rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Identifier>,
    /// How often a row is tried before it is set aside, where the table has a column for that.
    #[serde(default = "attempts")]
    pub attempts: u32,
}

/// `columns`: what the columns of the table are called.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The primary key, whose values are never used twice.
    #[serde(default = "id")]
    pub id: Identifier,
    #[serde(default = "payload")]
    pub payload: Identifier,
    /// By what rows are taken in order. Default: the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<Identifier>,
    /// Rows with the same one are published in their order. Default: all are in one order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Identifier>,
    /// A JSON object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Identifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Identifier>,
    /// By what the age of a row is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Identifier>,
    /// Where `after` is "mark".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Identifier>,
    /// Where failed attempts are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Identifier>,
    /// Where is written why a row was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Identifier>,
}

/// `publish`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The name of the broker.
    pub broker: Name,
    /// RabbitMQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<RowTemplate>,
    /// RabbitMQ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<RowTemplate>,
    /// NATS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<RowTemplate>,
    /// Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<RowTemplate>,
    /// Kafka.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<RowTemplate>,
    /// How long the broker may take to confirm.
    #[serde(default = "confirm_timeout")]
    pub confirm_timeout: Duration,
    /// Of rows that do not say it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<RowTemplate>,
    /// Headers of the message, beside those that the row has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<FieldName, RowTemplate>,
    /// The largest payload.
    #[serde(default = "max_body")]
    pub max_body: ByteSize,
}

/// What becomes of a row that is published.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum After {
    #[default]
    Delete,
    /// `published_at` is set.
    Mark,
}

impl Config {
    /// What can be told of the block alone.
    pub fn check(&self, problems: &mut Problems) {
        problems.within(&["publish"], |problems| self.publish.check(problems));
        if !(1..=MOST_AT_ONCE).contains(&self.batch) {
            problems.error(
                &["batch"],
                format!("{} is not from 1 to {MOST_AT_ONCE}", self.batch),
            );
        }
        if self.poll.0 < SHORTEST_POLL {
            problems.error(
                &["poll"],
                format!("the shortest that is taken is {SHORTEST_POLL:?}"),
            );
        }
        if self.attempts == 0 {
            problems.error(&["attempts"], "a row that is not tried is never published");
        }
        let place = ["columns", "published_at"];
        match (self.after, &self.columns.published_at) {
            (After::Mark, None) => {
                problems
                    .error(
                        &["after"],
                        "rows are to be marked, and no column is named for that",
                    )
                    .help("set `published_at` in `columns`");
            }
            (After::Delete, Some(_)) => {
                problems
                    .error(
                        &place,
                        "rows that are published are deleted, and not marked",
                    )
                    .help("set `after = \"mark\"`, or remove this");
            }
            _ => {}
        }
        if let (Some(_), None) = (&self.columns.attempts, &self.columns.error) {
            problems
                .warning(
                    &["columns", "attempts"],
                    "attempts are counted, and no row is set aside, as no column is named for why",
                )
                .help("set `error` in `columns`");
        }
        self.columns.check(problems);
    }

    /// Reports what the broker's kind and the database's do not go along with.
    pub fn check_kinds(
        &self,
        (broker, database): (Option<broker::Kind>, Option<database::Kind>),
        problems: &mut Problems,
    ) {
        if let Some(kind) = broker {
            problems.within(&["publish"], |problems| {
                let keys = self.publish.keys();
                keys.check_kind(kind, self.publish.broker.as_str(), problems);
                kind.check_largest(self.publish.max_body, problems);
            });
        }
        if let (Some(_), Some(kind)) = (&self.notify, database)
            && kind != database::Kind::Postgres
        {
            problems
                .error(
                    &["notify"],
                    format!(
                        "`notify` is of PostgreSQL, and the database `{}` is {}",
                        self.database,
                        kind.name()
                    ),
                )
                .help(match kind {
                    database::Kind::Sqlite => {
                        "remove it: that the file has changed is seen without it"
                    }
                    _ => "remove it: the table is looked at every `poll`",
                });
        }
    }

    /// The columns of which a row's values are asked, beside its id, its key, its payload and its attempts.
    pub fn selected(&self) -> Vec<Identifier> {
        let of_row = [&self.columns.headers, &self.columns.content_type];
        let mut names: BTreeSet<&Identifier> = of_row.into_iter().flatten().collect();
        names.extend(self.publish.templates().flat_map(RowTemplate::columns));
        names.into_iter().cloned().collect()
    }
}

impl Columns {
    /// By what rows are taken in order.
    pub fn order(&self) -> &Identifier {
        self.sequence.as_ref().unwrap_or(&self.id)
    }

    /// What is written to must be no other column too.
    fn check(&self, problems: &mut Problems) {
        let written = [
            ("published_at", &self.published_at),
            ("attempts", &self.attempts),
            ("error", &self.error),
        ];
        let read = [
            ("id", Some(&self.id)),
            ("payload", Some(&self.payload)),
            ("sequence", self.sequence.as_ref()),
            ("key", self.key.as_ref()),
            ("headers", self.headers.as_ref()),
            ("content_type", self.content_type.as_ref()),
            ("created_at", self.created_at.as_ref()),
        ];
        for (place, (key, column)) in written.iter().enumerate() {
            let Some(column) = column else { continue };
            let before = written[..place].iter();
            let before = before.map(|(other, column)| (*other, column.as_ref()));
            let mut others = read.iter().copied().chain(before);
            if let Some((other, _)) = others.find(|(_, other)| *other == Some(column)) {
                problems.error(
                    &["columns", key],
                    format!("`{column}` is written to, and is the column for `{other}` as well"),
                );
            }
        }
    }
}

impl Default for Columns {
    fn default() -> Self {
        Columns {
            id: id(),
            payload: payload(),
            sequence: None,
            key: None,
            headers: None,
            content_type: None,
            created_at: None,
            published_at: None,
            attempts: None,
            error: None,
        }
    }
}

impl Publish {
    pub(super) fn keys(&self) -> AddressKeys<'_, RowTemplate> {
        AddressKeys {
            exchange: self.exchange.as_ref(),
            routing_key: self.routing_key.as_ref(),
            subject: self.subject.as_ref(),
            topic: self.topic.as_ref(),
            key: self.key.as_ref(),
        }
    }

    fn templates(&self) -> impl Iterator<Item = &RowTemplate> {
        let address = self.keys().set().map(|(_, value)| value);
        address
            .chain(&self.content_type)
            .chain(self.headers.values())
    }

    fn check(&self, problems: &mut Problems) {
        self.keys().check(problems);
        if self.confirm_timeout.0.is_zero() {
            problems.error(&["confirm_timeout"], "no broker confirms in no time");
        }
        for name in self.headers.keys() {
            let lower = name.name().as_str();
            if broker::is_reserved(lower) {
                problems
                    .error(
                        &["headers", name.as_str()],
                        format!(
                            "`{}` means something to brokers or to this proxy",
                            name.as_str()
                        ),
                    )
                    .help(match lower {
                        "content-type" => "set `content_type`",
                        _ => "give it another name",
                    });
            }
        }
    }
}

fn id() -> Identifier {
    Identifier::of("id")
}

fn payload() -> Identifier {
    Identifier::of("payload")
}

/// A transaction costs its commit and six round trips, whatever it has.
fn batch() -> u16 {
    500
}

fn poll() -> Duration {
    Duration(std::time::Duration::from_secs(1))
}

fn attempts() -> u32 {
    10
}

fn confirm_timeout() -> Duration {
    Duration(std::time::Duration::from_secs(5))
}

fn max_body() -> ByteSize {
    ByteSize(1 << 20)
}
