//! What the admin API tells and changes.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use super::registration::{Kind, NotRegistered, Registered, Registration};
use crate::explain::{Explanation, Question};
use crate::policy::orders::Order;
use crate::telemetry::log::Level;
use crate::telemetry::requests::Query;

/// The proxy, as the admin API sees it. Every method but `places`, `explain`, `reload` and `register` answers at once.
pub trait Proxy: Send + Sync + 'static {
    /// Whether traffic should be sent here; otherwise why not, in a few words such as "draining".
    fn readiness(&self) -> Result<(), &'static str>;
    /// The effective config, defaults filled in and secrets redacted, with `generation`, `hash`, `loaded_at` and
    /// `last_error`.
    fn config(&self) -> Value;
    /// Where each key of the effective config stands, as `file:line` by its path: `places`, null where the files are not, or no
    /// more, those that serve.
    fn places(&self) -> BoxFuture<'static, Value>;
    /// How everything that serves is doing, in one answer, with counts that only grow.
    fn stats(&self) -> Value;
    /// The newest reloads, the newest first: when, with which result, what was different, or why it was refused.
    fn reloads(&self) -> Value;
    /// Every certificate that the config uses, what expires next first.
    fn certificates(&self) -> Value;
    /// Each listener's name, the address that it has bound, and its connections.
    fn listeners(&self) -> Value;
    fn routes(&self) -> Value;
    /// One route by name; None when there is none.
    fn route(&self, name: &str) -> Option<Value>;
    /// What was counted of a route, and its newest failures; None when there is none of this name.
    fn route_stats(&self, name: &str) -> Option<Value>;
    /// How what answers a route's requests is doing; None when there is none of this name.
    fn route_health(&self, name: &str) -> Option<Value>;
    /// The requests that failed or took long which `query` asks for, the newest first.
    fn requests(&self, query: &Query) -> Value;
    /// The newest of them with that id; None when there is none.
    fn request(&self, request_id: &str) -> Option<Value>;
    fn upstreams(&self) -> Value;
    /// One upstream by name; None when there is none.
    fn upstream(&self, name: &str) -> Option<Value>;
    /// Each broker, and how its connection is.
    fn brokers(&self) -> Value;
    fn databases(&self) -> Value;
    fn subscriptions(&self) -> Value;
    /// One subscription by name; None when there is none.
    fn subscription(&self, name: &str) -> Option<Arc<dyn Subscription>>;
    fn relays(&self) -> Value;
    /// One relay by name; None when there is none.
    fn relay(&self, name: &str) -> Option<Arc<dyn Relay>>;
    /// What would become of a request. Nothing that serves is disturbed by asking.
    ///
    /// # Errors
    /// What is wrong with the question.
    fn explain(&self, question: Question) -> BoxFuture<'static, Result<Explanation, String>>;
    /// Carries out an order to a policy of a route.
    ///
    /// # Errors
    /// Why it cannot.
    fn order_policy(&self, route: &str, order: &dyn Order) -> Result<(), NotCarriedOut>;
    /// Reads the config again and puts it to use, or refuses it whole and says why, as `outrigger check` would.
    /// The caller may go away meanwhile: dropping the future must not leave half a reload.
    fn reload(&self) -> BoxFuture<'static, Result<ReloadOutcome, String>>;
    /// What the config of these files, by their names, would change if the proxy's own path held them: `same`, `changes`,
    /// `listeners`, `state`, `needs_restart`, and the same as `text`.
    ///
    /// # Errors
    /// Why it would be refused, as `outrigger check` says it.
    fn diff(&self, files: Vec<(String, String)>) -> BoxFuture<'static, Result<Value, String>>;
    /// Registers all of these, or none, and completes when they serve. The caller may go away meanwhile.
    fn register(
        &self,
        registrations: Vec<Registration>,
    ) -> BoxFuture<'static, Result<Registered, NotRegistered>>;
    /// The entity tag of what is registered under that name, and serves; None when it is not registered.
    fn registered(&self, kind: Kind, name: &str) -> Option<String>;
    /// Fails readiness and lets requests finish.
    fn drain(&self);
    /// Drains, then ends the process.
    fn quit(&self);
    /// The level of the log that holds, which the config's may not be.
    fn log_level(&self) -> Level;
    fn set_log_level(&self, level: Level);
    /// In Prometheus's text format 0.0.4.
    fn metrics(&self) -> String;
    /// The same in OpenMetrics 1.0.
    fn open_metrics(&self) -> String;
}

/// A subscription, as the admin API sees it. What takes time ends when the broker has answered, or with why not.
pub trait Subscription: Send + Sync {
    fn describe(&self) -> Value;
    /// Takes no more messages until it is resumed.
    fn pause(&self);
    fn resume(&self);
    /// The first `limit` dead letters, with `bytes` of each body.
    fn dead_letters(&self, limit: usize, bytes: usize) -> BoxFuture<'_, Result<Value, String>>;
    /// Has the first `limit` dead letters delivered anew, and says how many.
    fn replay(&self, limit: usize) -> BoxFuture<'_, Result<usize, String>>;
    /// Deletes the first `limit` dead letters, and says how many.
    fn discard(&self, limit: usize) -> BoxFuture<'_, Result<usize, String>>;
}

/// A relay, as the admin API sees it.
pub trait Relay: Send + Sync {
    fn describe(&self) -> Value;
    /// Takes no more rows until it is resumed.
    fn pause(&self);
    fn resume(&self);
}

/// Why an order to a policy is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCarriedOut {
    NoRoute,
    /// The route is there, and has no such policy.
    NoPolicy,
}

/// What a reload that was not refused did.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// Generation of the config that serves now.
    pub generation: u64,
    /// False when what was read is what already served.
    pub changed: bool,
}
