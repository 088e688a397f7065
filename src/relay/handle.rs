//! A relay as the rest of the program holds it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::Config;
use super::account::Account;
use super::batch::Publisher;
use super::message::Messages;
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::runner::{Own, Runner, Wanted};
use super::sql::SqlOutbox;
use crate::broker;
use crate::database;
use crate::trace::Current;
use crate::value::Name;

/// What a relay is started with, beside its block.
pub struct Start<'a> {
    pub name: &'a Name,
    pub database: &'a Arc<dyn database::Client>,
    pub kind: database::Kind,
    pub broker: &'a Arc<dyn broker::Client>,
    /// Where its task runs.
    pub runtime: &'a Handle,
    /// What records the rows that are published.
    pub tracer: &'a Arc<Current>,
    /// Those that were stopped, and may still have something under way.
    pub ending: &'a [Arc<Relay>],
    /// It takes nothing until it is told to, as the operator wants it of the one before.
    pub paused: bool,
}

/// A relay that publishes, until this is dropped or [`Relay::end`] is asked for.
pub struct Relay {
    pub(super) name: Arc<str>,
    config: Config,
    database: Arc<dyn database::Client>,
    broker: Arc<dyn broker::Client>,
    pub(super) account: Arc<Account>,
    wanted: watch::Sender<Wanted>,
}

/// What a relay is made of, and the clients of its database and its broker.
pub type Ends<'a> = (
    &'a Config,
    &'a Arc<dyn database::Client>,
    &'a Arc<dyn broker::Client>,
);

impl Relay {
    /// Starts one. None where its block does not say where messages go, which a check reports.
    pub fn start(config: &Config, with: &Start<'_>) -> Option<Self> {
        let outbox = SqlOutbox::new(with.database.clone(), with.kind, config);
        Self::start_on(Arc::new(outbox), config, with)
    }

    /// Starts one on a table that is known already.
    pub(super) fn start_on(
        outbox: Arc<dyn Outbox>,
        config: &Config,
        with: &Start<'_>,
    ) -> Option<Self> {
        let name = with.name.shared();
        let account = Arc::new(Account::new());
        let publisher = Publisher {
            client: with.broker.clone(),
            messages: Messages::new(name.clone(), config)?,
            confirm_timeout: config.publish.confirm_timeout.0,
            metrics: Metrics::new(&name),
            tracer: with.tracer.clone(),
        };
        let (wanted, wants) = watch::channel(if with.paused {
            Wanted::Paused
        } else {
            Wanted::Relaying
        });
        let is_before = |other: &&Arc<Relay>| {
            other.config.database == config.database && other.config.table == config.table
        };
        let runner = Runner {
            name: name.clone(),
            config: config.clone(),
            outbox,
            publisher,
            account: account.clone(),
            wanted: wants,
            after: with.ending.iter().filter(is_before).cloned().collect(),
            own: Own::default(),
        };
        // It ends when `wanted` drops, and has settled by then what it had taken.
        with.runtime.spawn(runner.run());
        Some(Relay {
            name,
            config: config.clone(),
            database: with.database.clone(),
            broker: with.broker.clone(),
            account,
            wanted,
        })
    }

    /// Whether one of `config` with these clients would be the same.
    pub fn is_like(
        &self,
        config: &Config,
        database: &Arc<dyn database::Client>,
        broker: &Arc<dyn broker::Client>,
    ) -> bool {
        Self::goes_on(
            (&self.config, &self.database, &self.broker),
            (config, database, broker),
        )
    }

    /// Whether one with the first of these goes on when a config has the second.
    pub fn goes_on(old: Ends<'_>, new: Ends<'_>) -> bool {
        old.0 == new.0 && Arc::ptr_eq(old.1, new.1) && Arc::ptr_eq(old.2, new.2)
    }

    /// Takes no more rows, until it is told to go on. What is under way ends by itself.
    pub fn pause(&self) {
        self.want(Wanted::Paused);
    }

    pub fn resume(&self) {
        self.want(Wanted::Relaying);
    }

    pub fn is_paused(&self) -> bool {
        *self.wanted.borrow() == Wanted::Paused
    }

    /// Takes no more rows; what is under way ends by itself.
    pub fn stop(&self) {
        self.wanted.send_replace(Wanted::Ended);
    }

    /// Takes no more rows, and completes when what was under way has ended.
    pub async fn end(&self) {
        self.stop();
        self.ended().await;
    }

    /// Completes when nothing is under way any more, after it was stopped.
    pub(super) async fn ended(&self) {
        self.wanted.closed().await;
    }

    /// Whether nothing is under way any more, after it was stopped.
    pub fn has_ended(&self) -> bool {
        self.wanted.is_closed()
    }

    /// As `GET /relays/{name}` shows it.
    pub fn describe(&self) -> Value {
        let mut described = json!({
            "name": &*self.name,
            "database": self.config.database,
            "table": self.config.table,
            "broker": self.config.publish.broker,
        });
        if let (Value::Object(into), Value::Object(known)) =
            (&mut described, json!(self.account.describe()))
        {
            into.extend(known);
        }
        described
    }

    /// One that was stopped stays so.
    fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|now| {
            let changes = *now != Wanted::Ended && *now != wanted;
            if changes {
                *now = wanted;
            }
            changes
        });
    }
}
