//! A subscription as the rest of the program holds it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::account::Account;
use super::attempt::Attempt;
use super::request::Requests;
use super::runner::{Held, Runner, Wanted};
use super::verdict::Rules;
use super::{Config, Deliver};
use crate::broker::{Client, DeadLetter, Source};
use crate::value::Name;

/// What a subscription is started with, beside its block.
pub struct Start<'a> {
    pub name: &'a Name,
    pub client: &'a Arc<dyn Client>,
    pub deliver: &'a Arc<dyn Deliver>,
    /// Where its task runs.
    pub runtime: &'a Handle,
    /// Those that were stopped, and may still have something under way.
    pub ending: &'a [Arc<Subscription>],
    /// It takes nothing until it is told to, as the operator wants it of the one before.
    pub paused: bool,
}

/// A subscription that delivers, until this is dropped or [`Subscription::end`] is asked for.
pub struct Subscription {
    pub(super) name: Arc<str>,
    config: Config,
    source: Source,
    client: Arc<dyn Client>,
    pub(super) account: Arc<Account>,
    wanted: watch::Sender<Wanted>,
}

impl Subscription {
    /// Starts one. None where its block does not say where the messages come from, which a check reports.
    pub fn start(config: &Config, with: &Start<'_>) -> Option<Self> {
        let source = config.source(with.name.as_str())?;
        let name = with.name.shared();
        let ladder = with.client.ladder(&source);
        let account = Arc::new(Account::new(&name, ladder.delays.len()));
        let attempt = Attempt {
            name: name.clone(),
            route: config.route.shared(),
            requests: Requests::new(&name, &config.path, config.broker.as_str(), &source),
            rules: Rules {
                ladder,
                keeps_dead_letters: with.client.keeps_dead_letters(&source),
                answer: config.answer,
            },
            limit: config.timeout.0,
            account: account.clone(),
        };
        let (wanted, wants) = watch::channel(if with.paused {
            Wanted::Paused
        } else {
            Wanted::Delivering
        });
        let is_before = |other: &&Arc<Subscription>| {
            config.ordered_by.is_some()
                && other.config.broker == config.broker
                && other.source == source
        };
        let after = with.ending.iter().filter(is_before).cloned().collect();
        let runner = Runner {
            name: name.clone(),
            config: config.clone(),
            source: source.clone(),
            client: with.client.clone(),
            deliver: with.deliver.clone(),
            attempt: Arc::new(attempt),
            account: account.clone(),
            wanted: wants,
            after,
            held: Held::default(),
        };
        // It ends when `wanted` drops, and has handed back by then what it had.
        with.runtime.spawn(runner.run());
        Some(Subscription {
            name,
            config: config.clone(),
            source,
            client: with.client.clone(),
            account,
            wanted,
        })
    }

    /// Whether one of `config` with `client` would be the same.
    pub fn is_like(&self, config: &Config, client: &Arc<dyn Client>) -> bool {
        Self::goes_on((&self.config, &self.client), (config, client))
    }

    /// Whether one with the first of these goes on when a config has the second.
    pub fn goes_on(
        (config, client): (&Config, &Arc<dyn Client>),
        next: (&Config, &Arc<dyn Client>),
    ) -> bool {
        config == next.0 && Arc::ptr_eq(client, next.1)
    }

    /// Takes no more messages, and hands back what nobody has seen, until it is told to go on.
    pub fn pause(&self) {
        self.want(Wanted::Paused);
    }

    pub fn resume(&self) {
        self.want(Wanted::Delivering);
    }

    pub fn is_paused(&self) -> bool {
        *self.wanted.borrow() == Wanted::Paused
    }

    /// Takes no more messages; what is under way ends by itself.
    pub fn stop(&self) {
        self.wanted.send_replace(Wanted::Ended);
    }

    /// Takes no more messages, and completes when what was under way has ended.
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

    /// As `GET /subscriptions/{name}` shows it.
    pub fn describe(&self) -> Value {
        let mut described = json!({
            "name": &*self.name,
            "broker": self.config.broker,
            "route": self.config.route,
            "source": self.source.name(),
        });
        if let (Value::Object(into), Value::Object(known)) =
            (&mut described, json!(self.account.describe()))
        {
            into.extend(known);
        }
        described
    }

    /// The first `limit` dead letters, with `bytes` of each body.
    ///
    /// # Errors
    /// Why they cannot be read.
    pub async fn dead_letters(&self, limit: usize, bytes: usize) -> Result<Value, String> {
        let letters = self.client.dead_letters(&self.source, limit).await?;
        Ok(letters.iter().map(|letter| shown(letter, bytes)).collect())
    }

    /// Has the first `limit` dead letters delivered anew, and says how many.
    ///
    /// # Errors
    /// Why that cannot be.
    pub async fn replay(&self, limit: usize) -> Result<usize, String> {
        self.client.replay(&self.source, limit).await
    }

    /// Deletes the first `limit` dead letters, and says how many.
    ///
    /// # Errors
    /// Why that cannot be.
    pub async fn discard(&self, limit: usize) -> Result<usize, String> {
        self.client.discard(&self.source, limit).await
    }

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

fn shown(letter: &DeadLetter, bytes: usize) -> Value {
    let DeadLetter {
        message,
        reason,
        attempts,
        since,
    } = letter;
    let mut shown = json!({
        "message_id": message.id,
        "reason": reason,
        "attempts": attempts,
        "since": since.map(|since| humantime::format_rfc3339_millis(since).to_string()),
        "content_type": message.content_type,
        "headers": message.headers,
        "size": message.body.len(),
    });
    if bytes > 0 {
        let first = &message.body[..bytes.min(message.body.len())];
        shown["body"] = String::from_utf8_lossy(first).into();
    }
    shown
}
