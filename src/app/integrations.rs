//! The program as the integrations of a listener see it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::admin::{Condition, Format, Kind, NotRegistered, Registration, Tags};
use crate::app::registering::Registering;
use crate::app::routes;
use crate::app::snapshot::Snapshot;
use crate::config;
use crate::http::error::{BAD_REQUEST, Error, INTERNAL, OVERLOADED, Reason, Violation};
use crate::proxy::integrations::{self, Entrance};
use crate::route::HostPattern;
use crate::telemetry::Telemetry;
use crate::value::Name;

/// It is there already, or nothing can be registered.
const CONFLICT: Reason = Reason::new("conflict", 409);
/// The config would have errors.
const INVALID_CONFIG: Reason = Reason::new("invalid_config", 422);
/// There is no room on the disk.
const NO_SPACE: Reason = Reason::new("no_space", 507);

/// What serves, and a way to register more.
pub struct Host {
    snapshot: Arc<ArcSwap<Snapshot>>,
    telemetry: Arc<Telemetry>,
    registering: Registering,
    /// Where registering goes on, whichever worker is asked for it.
    runtime: Handle,
}

impl Host {
    /// Call it within the control runtime.
    pub fn new(
        snapshot: &Arc<ArcSwap<Snapshot>>,
        telemetry: &Arc<Telemetry>,
        registering: Registering,
    ) -> Self {
        Host {
            snapshot: snapshot.clone(),
            telemetry: telemetry.clone(),
            registering,
            runtime: Handle::current(),
        }
    }
}

impl integrations::Host for Host {
    fn list(&self) -> Value {
        routes::list(&self.snapshot.load())
    }

    fn health(&self, route: &str) -> Option<Value> {
        routes::health(&self.snapshot.load(), route)
    }

    fn stats(&self, route: &str) -> Option<Value> {
        routes::stats(&self.snapshot.load(), &self.telemetry, route)
    }

    fn entrance(&self, route: &str) -> Option<Entrance> {
        let name: Name = route.parse().ok()?;
        let snapshot = self.snapshot.load();
        let config = &snapshot.config.routes.get(&name)?.route;
        let methods = config.matches.methods.as_ref();
        let listeners = config.listeners().unwrap_or_default();
        Some(Entrance {
            path: config.matches.path.clone(),
            method: methods
                .and_then(|methods| methods.first())
                .map(|method| method.0.clone()),
            host: match &config.matches.host {
                Some(HostPattern::Exact(host)) => Some(host.clone()),
                _ => None,
            },
            listeners: listeners.iter().map(Name::shared).collect(),
        })
    }

    fn nearest(&self, route: &str) -> Option<String> {
        let snapshot = self.snapshot.load();
        let names = snapshot.config.routes.keys().map(Name::as_str);
        config::nearest(route, names).map(str::to_owned)
    }

    fn register(&self, document: Bytes) -> BoxFuture<'static, Result<Value, Error>> {
        let registrations = match Document::read(&document) {
            Ok(document) => document.registrations(),
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        let registering = self.registering.clone();
        // It goes on to its end when the caller leaves.
        let task = self.runtime.spawn(registering.register(registrations));
        async move {
            match task.await {
                Ok(Ok(registered)) => Ok(json!(registered)),
                Ok(Err(refused)) => Err(refusal(refused)),
                Err(_) => Err(Error::new(INTERNAL, "a fault of the proxy")),
            }
        }
        .boxed()
    }
}

/// What is to be registered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    name: String,
    /// The keys of the route.
    route: Value,
    /// Those of an upstream of the same name.
    #[serde(default)]
    upstream: Option<Value>,
    /// Put it in place of what was registered before.
    #[serde(default)]
    replace: bool,
}

impl Document {
    fn read(document: &[u8]) -> Result<Self, Error> {
        let keys = serde_json::from_slice::<Map<String, Value>>(document);
        let read = keys.and_then(|keys| serde_json::from_value(Value::Object(keys)));
        read.map_err(|error| {
            let how = "the body must be JSON like { \"name\", \"route\": {}, \"upstream\": {} }";
            Error::new(BAD_REQUEST, format!("{how}: {error}"))
        })
    }

    /// The upstream goes first: a route without it would keep the proxy from starting.
    fn registrations(self) -> Vec<Registration> {
        let Document {
            name,
            route,
            upstream,
            replace,
        } = self;
        let upstream = upstream.map(|upstream| (Kind::Upstream, upstream));
        let parts = upstream.into_iter().chain([(Kind::Route, route)]);
        let registration = |(kind, keys): (Kind, Value)| Registration {
            kind,
            name: name.clone(),
            content: Some((Format::Json, keys.to_string().into())),
            condition: Condition {
                one_of: None,
                none_of: (!replace).then_some(Tags::Any),
            },
        };
        parts.map(registration).collect()
    }
}

/// The same in the words of an answer.
fn refusal(refused: NotRegistered) -> Error {
    match refused {
        NotRegistered::Unreadable(why) => Error::new(BAD_REQUEST, why),
        NotRegistered::Nothing(why) | NotRegistered::Conflict(why) => Error::new(CONFLICT, why),
        NotRegistered::Changed(_) => Error::new(
            CONFLICT,
            "this name is registered already: `\"replace\": true` puts another in its place",
        ),
        NotRegistered::Wrong(_, problems) => {
            let text =
                |problem: &Value, key: &str| problem[key].as_str().unwrap_or_default().to_owned();
            let violations = problems
                .as_array()
                .into_iter()
                .flatten()
                .map(|problem| Violation {
                    pointer: format!("/{}", text(problem, "key").replace('.', "/")),
                    detail: text(problem, "message"),
                });
            Error::new(INVALID_CONFIG, "the config would have errors")
                .with_violations(violations.collect())
        }
        NotRegistered::NoSpace(why) => Error::new(NO_SPACE, why),
        NotRegistered::Busy(why) => Error::new(OVERLOADED, why),
        NotRegistered::Failed(why) => Error::new(INTERNAL, why),
    }
}
