//! What was spent of a limit, kept over reloads, and what that means by the limit's config.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::bucket::{Bucket, Refill, TOKEN};
use super::fields;
use super::key::{Key, Secret};
use super::limit::Limit;
use super::table::{Id, KeyTaken, Table};
use crate::http::message::Request;
use crate::policy::build;

/// A limit, and what was spent of it.
pub struct Spending {
    pub config: Limit,
    pub name: String,
    /// Its item of `RateLimit-Policy`.
    pub policy: String,
    /// Tokens in a second.
    pub rate: f64,
    /// In units of [`TOKEN`].
    pub burst: u64,
    spent: Arc<Spent>,
    /// Counts up with the configs that the limit has had.
    version: u64,
    /// Since when tokens come in at this rate: since the first request under this config.
    since: OnceLock<(Instant, Refill)>,
}

impl Spending {
    pub fn new(limit: &Limit, nth: usize, facts: &Facts) -> Self {
        let (requests, per) = (limit.requests.get(), limit.per.0);
        let name = fields::name(&limit.key, nth);
        let spent = facts.of(&name, &limit.key);
        Spending {
            policy: fields::policy(&name, requests, per),
            rate: f64::from(requests) / per.as_secs_f64(),
            burst: u64::from(limit.burst.unwrap_or(limit.requests).get()) * TOKEN,
            version: spent.next_version(),
            config: limit.clone(),
            name,
            spent,
            since: OnceLock::new(),
        }
    }

    /// What a request counts by here.
    pub fn id(&self, request: &Request) -> Id {
        self.spent.secret.id(&self.config.key, request)
    }

    pub fn shadow(&self) -> bool {
        self.config.shadow
    }

    /// The count of tokens that have come in by `now`.
    pub fn count(&self, now: Instant) -> u64 {
        let (since, refill) = self.since.get_or_init(|| self.spent.refill_by(self));
        refill.after(now.saturating_duration_since(*since).as_secs_f64())
    }

    pub fn owed(&self, id: Id, count: u64) -> u64 {
        match &self.spent.buckets {
            Buckets::One(bucket) => bucket.owed(count),
            Buckets::Many(table) => table.owed(id, count),
        }
    }

    pub fn take(&self, id: Id, count: u64) -> Result<KeyTaken, u64> {
        match &self.spent.buckets {
            Buckets::One(bucket) => bucket.take(count, self.burst).map(KeyTaken::own),
            Buckets::Many(table) => {
                table.take(id, count, self.burst, self.config.max_keys.get() as usize)
            }
        }
    }

    pub fn give_back(&self, id: Id, token: KeyTaken, count: u64) {
        match &self.spent.buckets {
            Buckets::One(bucket) => bucket.give_back(token.taken, count),
            Buckets::Many(table) => table.give_back(id, token, count),
        }
    }

    /// For the admin API, with what is left to whoever sent `request`.
    pub fn state_for(&self, request: &Request) -> Value {
        let mut shown = self.state();
        // Only a verified token has claims.
        let is_known =
            !matches!(self.config.key, Key::Claim(_)) || request.context.claims.is_some();
        if is_known {
            let owed = self.owed(self.id(request), self.count(Instant::now()));
            shown["left"] = json!(self.burst.saturating_sub(owed) / TOKEN);
        }
        shown
    }

    /// For the admin API.
    pub fn state(&self) -> Value {
        let count = self.count(Instant::now());
        let left = |owed| self.burst.saturating_sub(owed) / TOKEN;
        let buckets = match &self.spent.buckets {
            Buckets::One(bucket) => json!({ "left": left(bucket.owed(count)) }),
            Buckets::Many(table) => {
                json!({ "keys": table.len(), "overflowing": table.overflows(count) })
            }
        };
        let mut shown = json!({ "limit": self.name, "shadow": self.shadow() });
        if let (Value::Object(shown), Value::Object(buckets)) = (&mut shown, buckets) {
            shown.extend(buckets);
        }
        shown
    }
}

/// What the callers of a route have spent, by the name of the limit.
#[derive(Default)]
pub struct Facts(Mutex<Vec<(String, Arc<Spent>)>>);

impl build::Facts for Facts {
    fn apart(&self) -> Self {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let apart = |(name, spent): &(String, Arc<Spent>)| (name.clone(), Arc::new(spent.apart()));
        Facts(Mutex::new(all.iter().map(apart).collect()))
    }
}

impl Facts {
    fn of(&self, name: &str, key: &Key) -> Arc<Spent> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, spent)) = all.iter().find(|(of, _)| of == name) {
            return spent.clone();
        }
        let spent = Arc::new(Spent::new(key));
        all.push((name.to_owned(), spent.clone()));
        spent
    }
}

/// What was spent of one limit. In tokens, not in time: what they are worth is up to the config.
struct Spent {
    buckets: Buckets,
    secret: Secret,
    refill: Mutex<Newest>,
}

enum Buckets {
    One(Bucket),
    Many(Box<Table>),
}

/// How tokens come in, by the newest config that has seen a request.
#[derive(Clone, Default)]
struct Newest {
    given: u64,
    version: u64,
    refill: Option<(Instant, Refill)>,
}

impl Spent {
    fn new(key: &Key) -> Self {
        Spent {
            buckets: match key {
                Key::Route => Buckets::One(Bucket::default()),
                _ => Buckets::Many(Box::default()),
            },
            secret: Secret::default(),
            refill: Mutex::default(),
        }
    }

    fn apart(&self) -> Self {
        let refill = self.refill.lock().unwrap_or_else(PoisonError::into_inner);
        Spent {
            buckets: match &self.buckets {
                Buckets::One(bucket) => Buckets::One(bucket.apart()),
                Buckets::Many(table) => Buckets::Many(Box::new(table.apart())),
            },
            secret: self.secret.clone(),
            refill: Mutex::new(refill.clone()),
        }
    }

    fn next_version(&self) -> u64 {
        let mut newest = self.refill.lock().unwrap_or_else(PoisonError::into_inner);
        newest.given += 1;
        newest.given
    }

    /// Lets tokens come in at the rate of `limit` from now on.
    fn refill_by(&self, limit: &Spending) -> (Instant, Refill) {
        let mut newest = self.refill.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let count = newest.refill.map_or(0, |(since, refill)| {
            refill.after(now.saturating_duration_since(since).as_secs_f64())
        });
        let rate = limit.rate;
        let refill = (now, Refill { count, rate });
        // A request may still come under a config that has been replaced.
        if limit.version > newest.version {
            newest.version = limit.version;
            newest.refill = Some(refill);
            match &self.buckets {
                Buckets::One(bucket) => bucket.clamp(count, limit.burst),
                Buckets::Many(table) => table.clamp(count, limit.burst),
            }
        }
        refill
    }
}
