//! How what a target needs is doing, as `GET /routes/{name}/health` shows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::block::{Block, Database};
use crate::broker::{Client, Link};
use crate::database;
use crate::upstream::{Availability, Upstream};
use crate::value::Name;

/// What serves now, for a target that looks for what it names.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub upstreams: &'a BTreeMap<Name, Arc<Upstream>>,
    pub brokers: &'a BTreeMap<Name, Arc<dyn Client>>,
    pub databases: &'a BTreeMap<Name, Database>,
}

/// One thing that a target needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What it is: `"upstream"`, `"broker"` or `"database"`.
    pub kind: &'static str,
    pub name: String,
    /// Whether requests can be expected to succeed there.
    pub healthy: bool,
    /// What is known beside that.
    #[serde(flatten)]
    pub facts: Value,
}

/// The upstreams, brokers and databases that a target names.
pub(super) fn of_named<B: Block + ?Sized>(block: &B, seen: &Seen<'_>) -> Vec<Part> {
    fn found<'m, T>(all: &'m BTreeMap<Name, T>, name: &str) -> Option<&'m T> {
        all.get(&name.parse::<Name>().ok()?)
    }
    let mut parts = Vec::new();
    for (name, _) in block.upstreams() {
        parts.extend(found(seen.upstreams, name).map(|upstream| of_upstream(name, upstream)));
    }
    for (name, _) in block.brokers() {
        parts.extend(found(seen.brokers, name).map(|client| of_broker(name, &**client)));
    }
    for (name, _) in block.databases() {
        parts.extend(found(seen.databases, name).map(|(client, _)| of_database(name, &**client)));
    }
    parts
}

fn of_upstream(name: &str, upstream: &Upstream) -> Part {
    let endpoints = upstream.endpoints();
    let available = |state| matches!(state, Availability::Available);
    let count = endpoints.iter().filter(|e| available(e.state)).count();
    let endpoints = endpoints.iter().map(|endpoint| {
        json!({
            "address": endpoint.address,
            "state": endpoint.state,
            "check": endpoint.check,
            "last_error": endpoint.last_error,
        })
    });
    Part {
        kind: "upstream",
        name: name.to_owned(),
        healthy: count > 0,
        facts: json!({ "available": count, "endpoints": endpoints.collect::<Value>() }),
    }
}

fn of_broker(name: &str, client: &dyn Client) -> Part {
    let state = client.state();
    let error = match &state.link {
        Link::Connected { .. } => None,
        Link::Down { error, .. } => error.as_deref(),
    };
    Part {
        kind: "broker",
        name: name.to_owned(),
        healthy: state.is_connected() && state.blocked.is_none(),
        facts: json!({
            "connected": state.is_connected(),
            "error": error,
            "blocked": state.blocked,
        }),
    }
}

/// One that nobody has asked anything yet is taken for healthy.
fn of_database(name: &str, client: &dyn database::Client) -> Part {
    let state = client.state();
    Part {
        kind: "database",
        name: name.to_owned(),
        healthy: state.connected != Some(false),
        facts: json!({
            "connected": state.connected,
            "error": state.last_error.filter(|_| state.connected == Some(false)).map(|(_, why)| why),
        }),
    }
}
