//! How the routes that serve now are doing.

use serde_json::{Value, json};

use crate::app::snapshot::Snapshot;
use crate::target::{Seen, Targets as _};
use crate::telemetry::Telemetry;
use crate::value::Name;

/// What was counted of the route of that name, and its newest failures. None when there is no such route.
pub fn stats(snapshot: &Snapshot, telemetry: &Telemetry, name: &str) -> Option<Value> {
    let route = snapshot.serving.named.get(name)?;
    let counts = telemetry.metrics().of_routes([name]).remove(name);
    let mut stats = json!({ "route": name });
    if let (Value::Object(into), Ok(Value::Object(counts))) =
        (&mut stats, serde_json::to_value(counts))
    {
        into.extend(counts);
        into.insert(
            "last_failures".to_owned(),
            json!(route.metrics.failures().newest()),
        );
    }
    Some(stats)
}

/// The routes that serve, with what answers them and whether that is there.
pub fn list(snapshot: &Snapshot) -> Value {
    let seen = Seen {
        upstreams: &snapshot.upstreams,
        brokers: &snapshot.brokers,
        databases: &snapshot.databases,
    };
    let routes = snapshot.config.routes.iter().map(|(name, route)| {
        let (target, parts) = route.target.health(&seen);
        json!({
            "name": name,
            "type": target,
            "healthy": parts.iter().all(|part| part.healthy),
        })
    });
    routes.collect()
}

/// How what answers the requests of the route of that name is doing, as far as it is known without asking. None when there
/// is no such route.
pub fn health(snapshot: &Snapshot, name: &str) -> Option<Value> {
    let config = snapshot.config.routes.get(&name.parse::<Name>().ok()?)?;
    let seen = Seen {
        upstreams: &snapshot.upstreams,
        brokers: &snapshot.brokers,
        databases: &snapshot.databases,
    };
    let (target, parts) = config.target.health(&seen);
    Some(json!({
        "route": name,
        "target": target,
        "healthy": parts.iter().all(|part| part.healthy),
        "parts": parts,
    }))
}
