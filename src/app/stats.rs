//! How everything that serves is doing, in one answer: what a live view asks for again and again.
//!
//! Counts are read from the cells that `GET /metrics` shows, and only grow while the proxy runs: whoever has two answers has the
//! rates between them.

use serde_json::{Value, json};

use crate::app::snapshot::Snapshot;
use crate::target::{Seen, Targets as _};
use crate::telemetry::Telemetry;
use crate::telemetry::request_metrics::NO_ROUTE;
use crate::upstream::REQUEST_DURATION;

/// Each route: what it is, whether what answers it is there, what was counted of it, and the state of its policies.
pub fn routes(snapshot: &Snapshot, telemetry: &Telemetry) -> Value {
    let names = snapshot.config.routes.keys().map(|name| name.as_str());
    let mut counts = telemetry.metrics().of_routes(names);
    let mut counters = telemetry.metrics().counters_by("route");
    let seen = Seen {
        upstreams: &snapshot.upstreams,
        brokers: &snapshot.brokers,
        databases: &snapshot.databases,
    };
    let routes = snapshot.config.routes.iter().map(|(name, route)| {
        let (target, parts) = route.target.health(&seen);
        let needs = parts
            .iter()
            .map(|part| json!({ "kind": part.kind, "name": part.name, "healthy": part.healthy }));
        let serving = snapshot.serving.named.get(name.as_str());
        let described = json!({
            "name": name,
            "target": target,
            "healthy": parts.iter().all(|part| part.healthy),
            "needs": needs.collect::<Value>(),
            "state": serving.map(|route| route.states.now()),
            "counters": counters.remove(name.as_str()).unwrap_or_default(),
        });
        joined(described, json!(counts.remove(name.as_str())))
    });
    routes.collect()
}

/// What was counted of requests that no route took.
pub fn unrouted(telemetry: &Telemetry) -> Value {
    json!(telemetry.metrics().of_routes([NO_ROUTE]).remove(NO_ROUTE))
}

/// Each route of connections that are not HTTP, and what was counted of it.
pub fn tcp_routes(snapshot: &Snapshot, telemetry: &Telemetry) -> Value {
    let names = snapshot.config.tcp_routes.keys();
    let named: Value = names.map(|name| json!({ "name": name })).collect();
    counted(named, "route", telemetry)
}

/// Each upstream as `GET /upstreams` shows it, with what was counted of it and how long its answers took.
pub fn upstreams(snapshot: &Snapshot, telemetry: &Telemetry) -> Value {
    let mut counters = telemetry.metrics().counters_by("upstream");
    let upstreams = snapshot.upstreams.iter().map(|(name, upstream)| {
        let name = name.as_str();
        let own = ("upstream", name);
        let times = telemetry.metrics().times_of(REQUEST_DURATION.name, own);
        let mut described = joined(upstream.describe(), json!(times));
        described["counters"] = json!(counters.remove(name).unwrap_or_default());
        described
    });
    upstreams.collect()
}

/// `described`, each with what was counted of it: by its name, which those counters have as `label`.
pub fn counted(described: Value, label: &str, telemetry: &Telemetry) -> Value {
    let mut counters = telemetry.metrics().counters_by(label);
    let with_counts = |mut one: Value| {
        let counts = one["name"].as_str().and_then(|name| counters.remove(name));
        one["counters"] = json!(counts.unwrap_or_default());
        one
    };
    match described {
        Value::Array(all) => all.into_iter().map(with_counts).collect(),
        other => other,
    }
}

/// The tokens that are fetched for routes, and how long they are good for.
pub fn tokens(snapshot: &Snapshot) -> Value {
    let tokens = snapshot.serving.named.iter().filter_map(|(name, route)| {
        let mut state = route.states.now();
        let token = state.get_mut("credentials").map(Value::take)?;
        Some(joined(json!({ "route": &**name }), token))
    });
    tokens.collect()
}

/// `into` with all that `more` has.
fn joined(mut into: Value, more: Value) -> Value {
    if let (Value::Object(into), Value::Object(more)) = (&mut into, more) {
        into.extend(more);
    }
    into
}
