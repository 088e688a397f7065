//! `health_check`: asks each endpoint again and again whether it is well.
//!
//! One task per upstream does it for the whole process, on the control runtime, over connections of its own. An
//! endpoint that was never asked is used at once, and asked at once: its first answer alone decides, later ones need
//! a row of the same. What is known of an endpoint outlives a reload; new settings apply from then on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration as Length;

use http::StatusCode;
use http::uri::PathAndQuery;
use metrics::{Counter, counter};
use serde::{Deserialize, Serialize};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::standing::Mark;
use crate::tls::outbound::Client;
use crate::upstream::endpoints::discovery::Follower;
use crate::upstream::endpoints::endpoint::Endpoint;
use crate::upstream::endpoints::transport::Transport;
use crate::upstream::transport::settings::Protocol;
use crate::value::Duration;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

mod grpc;
mod probe;

use probe::{Failure, Probe};

pub const CHECKS: Metric = Metric::counter(
    "outrigger_health_checks_total",
    "Health checks of an upstream's endpoints.",
);

/// An interval is drawn between this part of its length and all of it, so that many proxies do not ask at once.
const SHORTEST: f32 = 0.8;

/// `health_check`: one of `path`, `tcp = true` and `grpc`, and how often.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// A `GET` of this path must be answered with a status of `expect`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A connection must be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tcp: bool,
    /// `Check` of `grpc.health.v1.Health` must say that this service serves; `""` is the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<String>,
    /// Default: 200 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Vec<u16>>,
    /// From one check to the next, less up to a fifth by chance.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// The longest that a check may take, connecting included.
    #[serde(default = "timeout")]
    pub timeout: Duration,
    /// So many checks in a row must pass before an endpoint is used again.
    #[serde(default = "healthy_after")]
    pub healthy_after: u32,
    /// So many checks in a row must fail before it is not used any more.
    #[serde(default = "unhealthy_after")]
    pub unhealthy_after: u32,
}

fn interval() -> Duration {
    Duration::from_secs(10)
}

fn timeout() -> Duration {
    Duration::from_secs(2)
}

fn healthy_after() -> u32 {
    2
}

fn unhealthy_after() -> u32 {
    3
}

/// How an endpoint is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    Tcp,
    Http(PathAndQuery, Vec<StatusCode>),
    Grpc(String),
}

impl HealthConfig {
    pub fn check(&self, protocol: Protocol, problems: &mut Problems) {
        let kinds = [
            ("path", self.path.is_some()),
            ("tcp", self.tcp),
            ("grpc", self.grpc.is_some()),
        ];
        let set: Vec<&str> = kinds.iter().filter(|k| k.1).map(|k| k.0).collect();
        match set[..] {
            [_] => {}
            [] => {
                problems
                    .error(&[], "a health check needs a question")
                    .help("set `path = \"/healthz\"`, `tcp = true` or `grpc = \"service\"`");
            }
            [first, second, ..] => {
                problems
                    .error(&[second], format!("it asks by `{first}` already"))
                    .help("keep one of the two");
            }
        }
        if let Some(path) = &self.path
            && parse(path).is_none()
        {
            let meant = format!("/{}", path.trim_start_matches('/'));
            let meant = parse(&meant).map_or("/healthz", |_| meant.as_str());
            problems
                .error(&["path"], format!("`{path}` is not a path"))
                .help(format!("write it like \"{meant}\""));
        }
        if self.grpc.is_some() && protocol == Protocol::Http1 {
            problems
                .error(
                    &["grpc"],
                    "gRPC needs HTTP/2, and the endpoints speak \"http1\"",
                )
                .help("set `protocol = \"http2\"`, or ask by `path` or `tcp`");
        }
        match &self.expect {
            Some(_) if self.path.is_none() && !set.is_empty() => {
                problems.error(&["expect"], "a status is expected of a `path` only");
            }
            Some(expect) if expect.is_empty() => {
                problems.error(&["expect"], "no answer would do");
            }
            _ => {}
        }
        for (place, status) in self.expect.iter().flatten().enumerate() {
            if !(200..=599).contains(status) {
                let place = place.to_string();
                problems.error(&["expect", &place], "must be a status from 200 to 599");
            }
        }
        for (key, length) in [("interval", self.interval), ("timeout", self.timeout)] {
            if length.0.is_zero() {
                problems.error(&[key], "must be longer than 0");
            }
        }
        for (key, count) in [
            ("healthy_after", self.healthy_after),
            ("unhealthy_after", self.unhealthy_after),
        ] {
            if count == 0 {
                problems.error(&[key], "must be at least 1");
            }
        }
    }

    fn question(&self) -> Question {
        if let Some(service) = &self.grpc {
            return Question::Grpc(service.clone());
        }
        match self.path.as_deref().and_then(parse) {
            None => Question::Tcp,
            Some(path) => {
                let expect = self.expect.as_deref().unwrap_or(&[200]);
                let statuses = expect.iter().filter_map(|s| StatusCode::from_u16(*s).ok());
                Question::Http(path, statuses.collect())
            }
        }
    }
}

fn parse(path: &str) -> Option<PathAndQuery> {
    path.parse().ok().filter(|_| path.starts_with('/'))
}

/// Checks the endpoints of an upstream for as long as it exists.
pub struct Checker<T: Transport> {
    config: HealthConfig,
    protocol: Protocol,
    client: Option<Arc<Client>>,
    follower: Arc<Follower<T>>,
    task: AbortHandle,
}

impl<T: Transport> Checker<T> {
    /// The checker of an upstream, where its config has one: `old` if nothing has changed for it. Must be called within
    /// a runtime that lives as long.
    pub fn next(
        upstream: &str,
        health: Option<&HealthConfig>,
        protocol: Protocol,
        client: Option<&Arc<Client>>,
        follower: &Arc<Follower<T>>,
        old: Option<&Arc<Self>>,
    ) -> Option<Arc<Self>> {
        let health = health?;
        let same = |old: &&Arc<Self>| {
            old.config == *health
                && old.protocol == protocol
                && Arc::ptr_eq(&old.follower, follower)
                && old.client.as_ref().map(Arc::as_ptr) == client.map(Arc::as_ptr)
        };
        if let Some(old) = old.filter(same) {
            return Some(old.clone());
        }
        let checks = |result: &'static str| counter!(CHECKS.name, "upstream" => upstream.to_owned(), "result" => result);
        let rounds = Rounds {
            upstream: upstream.to_owned(),
            probe: Probe {
                question: health.question(),
                protocol,
                client: client.cloned(),
                timeout: health.timeout.0,
            },
            config: health.clone(),
            passed: checks("passed"),
            failed: checks("failed"),
        };
        let task = tokio::spawn(check_all(Arc::new(rounds), follower.clone()));
        Some(Arc::new(Checker {
            config: health.clone(),
            protocol,
            client: client.cloned(),
            follower: follower.clone(),
            task: task.abort_handle(),
        }))
    }

    /// Ends it, though somebody may still hold it.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl<T: Transport> Drop for Checker<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the checks of an upstream have in common.
struct Rounds {
    upstream: String,
    probe: Probe,
    config: HealthConfig,
    passed: Counter,
    failed: Counter,
}

/// Has a task of its own for each endpoint that is listed.
async fn check_all<T: Transport>(rounds: Arc<Rounds>, follower: Arc<Follower<T>>) {
    let mut changes = follower.set().changes();
    // The set ends its tasks with itself.
    let mut tasks = JoinSet::new();
    let mut running: HashMap<usize, (Arc<Endpoint<T>>, AbortHandle)> = HashMap::new();
    loop {
        changes.borrow_and_update();
        let list = follower.set().load_full();
        let listed = |endpoint: &Arc<Endpoint<T>>| {
            let mut entries = list.entries().iter();
            entries.any(|entry| Arc::ptr_eq(&entry.endpoint, endpoint))
        };
        running.retain(|_, (endpoint, task)| {
            let stays = listed(endpoint);
            if !stays {
                task.abort();
            }
            stays
        });
        for entry in list.entries() {
            let endpoint = entry.endpoint.clone();
            running
                .entry(Arc::as_ptr(&endpoint).addr())
                .or_insert_with(|| {
                    let task = tasks.spawn(check(rounds.clone(), endpoint.clone()));
                    (endpoint, task)
                });
        }
        drop(list);
        // The sender lives in the follower, so the wait cannot fail.
        let _ = changes.changed().await;
        while tasks.try_join_next().is_some() {}
    }
}

/// Checks one endpoint again and again.
async fn check<T: Transport>(rounds: Arc<Rounds>, endpoint: Arc<Endpoint<T>>) {
    loop {
        match rounds.probe.ask(&endpoint.address, &endpoint.name).await {
            Ok(()) => rounds.note(&endpoint, Ok(())),
            Err(Failure::Ill(why)) => rounds.note(&endpoint, Err(why)),
            Err(Failure::NotAsked) => {}
        }
        tokio::time::sleep(jittered(rounds.config.interval.0)).await;
    }
}

fn jittered(interval: Length) -> Length {
    interval.mul_f32(SHORTEST + (1.0 - SHORTEST) * fastrand::f32())
}

impl Rounds {
    fn note<T>(&self, endpoint: &Endpoint<T>, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed.increment(1),
            Err(_) => self.failed.increment(1),
        }
        let now = Instant::now();
        let (row, first) = endpoint.health.note(&result, now);
        let upstream = self.upstream.as_str();
        let standing = &endpoint.standing;
        let is_out = standing.marks().has(Mark::Unhealthy);
        match result {
            Err(failure) if !is_out && (first || row >= self.config.unhealthy_after) => {
                standing.mark(Mark::Unhealthy);
                tracing::warn!(
                    upstream,
                    endpoint = &*endpoint.shown,
                    failure,
                    "an endpoint fails its health check"
                );
            }
            Ok(()) if is_out && row >= self.config.healthy_after => {
                standing.unmark(Mark::Unhealthy);
                standing.enter_service(now);
                tracing::info!(
                    upstream,
                    endpoint = &*endpoint.shown,
                    "an endpoint passes its health check again"
                );
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
