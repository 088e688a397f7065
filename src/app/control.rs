//! The proxy as the admin API sees it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::admin::{
    self, Kind, NotCarriedOut, NotRegistered, Registered, Registration, ReloadOutcome,
};
use crate::app::changes::Comparing;
use crate::app::explain;
use crate::app::flows::Flows;
use crate::app::places;
use crate::app::registering::Registering;
use crate::app::reload::{Answer, Status};
use crate::app::routes;
use crate::app::snapshot::Snapshot;
use crate::app::stats;
use crate::broker;
use crate::config::{RouteConfig, registered};
use crate::database;
use crate::explain::{Explanation, Question};
use crate::policy::orders;
use crate::relay;
use crate::subscription;
use crate::telemetry::Telemetry;
use crate::telemetry::log::Level;
use crate::telemetry::requests::Query;
use crate::telemetry::times;
use crate::tls::inventory;
use crate::upstream::{render_health, render_traffic};
use crate::value::Name;

/// What the admin API asks of the control loop.
pub enum Order {
    Reload(Answer),
    Drain,
    Quit,
}

/// What serves, as JSON, and a way to the control loop.
pub struct Control {
    snapshot: Arc<ArcSwap<Snapshot>>,
    status: Arc<Status>,
    flows: Arc<Flows>,
    draining: Arc<AtomicBool>,
    registering: Registering,
    comparing: Comparing,
    orders: mpsc::Sender<Order>,
    telemetry: Arc<Telemetry>,
    started: Instant,
    /// One explanation at a time: each has a thread, and facts of its own.
    explaining: Arc<Semaphore>,
}

/// The longest that an explanation may take: it reads the files of the config.
const EXPLAINING: Duration = Duration::from_secs(10);

impl Control {
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        status: Arc<Status>,
        flows: Arc<Flows>,
        draining: Arc<AtomicBool>,
        registering: Registering,
        orders: mpsc::Sender<Order>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Control {
            snapshot,
            status,
            flows,
            draining,
            comparing: Comparing::new(registering.config_path().map(Path::to_owned)),
            registering,
            orders,
            telemetry,
            started: Instant::now(),
            explaining: Arc::new(Semaphore::new(1)),
        }
    }

    fn order(&self, order: Order) {
        // The loop is gone only when the process ends; it is full only behind a crowd that asks for the same.
        let _ = self.orders.try_send(order);
    }
}

impl admin::Proxy for Control {
    fn readiness(&self) -> Result<(), &'static str> {
        if self.draining.load(Ordering::SeqCst) {
            Err("draining")
        } else {
            Ok(())
        }
    }

    fn config(&self) -> Value {
        let snapshot = self.snapshot.load();
        let last_error = self.status.last_error().map(|error| {
            json!({
                "at": timestamp(error.at),
                "summary": error.summary,
                "report": error.report,
            })
        });
        let mut config = json!(snapshot.config);
        config["log"]["level"] = json!(self.log_level());
        json!({
            "generation": snapshot.generation,
            "hash": snapshot.content.hash,
            "loaded_at": timestamp(snapshot.loaded_at),
            "last_error": last_error,
            "serves_last_good": self.status.serves_last_good(),
            "config": config,
        })
    }

    fn places(&self) -> BoxFuture<'static, Value> {
        let path = self.registering.config_path().map(Path::to_owned);
        let snapshot = self.snapshot.load_full();
        let found = spawn_blocking(move || places::of(&snapshot, path.as_deref()));
        timeout(EXPLAINING, found)
            .map(|found| found.ok().and_then(Result::ok).flatten())
            .map(|places| json!({ "places": places }))
            .boxed()
    }

    fn stats(&self) -> Value {
        let snapshot = self.snapshot.load();
        let telemetry = &*self.telemetry;
        json!({
            "at": timestamp(SystemTime::now()),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs_f64(),
            "draining": self.readiness().is_err(),
            "generation": snapshot.generation,
            "hash": snapshot.content.hash,
            "loaded_at": timestamp(snapshot.loaded_at),
            "serves_last_good": self.status.serves_last_good(),
            "last_reload": self.status.last_reload(),
            "duration_bounds_seconds": times::bounds(),
            "listeners": stats::counted(self.listeners(), "listener", telemetry),
            "routes": stats::routes(&snapshot, telemetry),
            "unrouted": stats::unrouted(telemetry),
            "tcp_routes": stats::tcp_routes(&snapshot, telemetry),
            "upstreams": stats::upstreams(&snapshot, telemetry),
            "brokers": self.brokers(),
            "databases": self.databases(),
            "subscriptions": stats::counted(self.subscriptions(), "subscription", telemetry),
            "relays": stats::counted(self.relays(), "relay", telemetry),
            "certificates": self.certificates(),
            "tokens": stats::tokens(&snapshot),
        })
    }

    fn reloads(&self) -> Value {
        json!(self.status.reloads())
    }

    fn certificates(&self) -> Value {
        let items = self.snapshot.load().config.certificates().by_expiry();
        inventory::json(&items, SystemTime::now())
    }

    fn listeners(&self) -> Value {
        let describe = |listener: &Arc<crate::listener::Listener>| {
            json!({
                "name": &*listener.name,
                "address": listener.address,
                "connections": listener.drain.live(),
            })
        };
        self.status.listeners().iter().map(describe).collect()
    }

    fn explain(&self, question: Question) -> BoxFuture<'static, Result<Explanation, String>> {
        let path = self.registering.config_path().map(Path::to_owned);
        let (snapshot, turn) = (self.snapshot.load_full(), self.explaining.clone());
        let explained = async move {
            let turn = turn.acquire_owned().await.map_err(|why| why.to_string())?;
            let explain = move || {
                let _turn = turn;
                explain::live(&snapshot, path.as_deref(), &question)
            };
            let explained = spawn_blocking(explain).await;
            explained.map_err(|error| format!("the explanation failed: {error}"))?
        };
        timeout(EXPLAINING, explained)
            .map(|explained| explained.unwrap_or_else(|_| Err("it took too long".to_owned())))
            .boxed()
    }

    fn routes(&self) -> Value {
        let snapshot = self.snapshot.load();
        snapshot
            .config
            .routes
            .iter()
            .map(|(name, route)| describe_route(name, route, None))
            .collect()
    }

    fn route(&self, name: &str) -> Option<Value> {
        let name: Name = name.parse().ok()?;
        let snapshot = self.snapshot.load();
        let config = snapshot.config.routes.get(&name)?;
        let serving = snapshot.serving.table.values();
        let serving = serving.into_iter().find(|r| *r.name == *name.as_str());
        let state = serving.map(|route| route.states.now());
        Some(describe_route(&name, config, state))
    }

    fn route_stats(&self, name: &str) -> Option<Value> {
        routes::stats(&self.snapshot.load(), &self.telemetry, name)
    }

    fn route_health(&self, name: &str) -> Option<Value> {
        routes::health(&self.snapshot.load(), name)
    }

    fn requests(&self, query: &Query) -> Value {
        let found = self.telemetry.requests().find(query);
        found.iter().map(|request| request.shown()).collect()
    }

    fn request(&self, request_id: &str) -> Option<Value> {
        let found = self.telemetry.requests().one(request_id);
        found.map(|request| request.shown())
    }

    fn upstreams(&self) -> Value {
        self.snapshot
            .load()
            .upstreams
            .values()
            .map(|upstream| json!(upstream.describe()))
            .collect()
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        let name: Name = name.parse().ok()?;
        self.snapshot
            .load()
            .upstreams
            .get(&name)
            .map(|upstream| json!(upstream.describe()))
    }

    fn order_policy(&self, route: &str, order: &dyn orders::Order) -> Result<(), NotCarriedOut> {
        let snapshot = self.snapshot.load();
        let name: Name = route.parse().map_err(|_| NotCarriedOut::NoRoute)?;
        if !snapshot.config.routes.contains_key(&name) {
            return Err(NotCarriedOut::NoRoute);
        }
        if order.carry_out(name.shared(), &snapshot.kept) {
            Ok(())
        } else {
            Err(NotCarriedOut::NoPolicy)
        }
    }

    fn brokers(&self) -> Value {
        let snapshot = self.snapshot.load();
        let described = snapshot.brokers.iter().map(|(name, client)| {
            let kind = snapshot
                .config
                .brokers
                .get(name)
                .map(|broker| broker.kind().name());
            client
                .state()
                .describe(name.as_str(), kind.unwrap_or_default())
        });
        described.collect()
    }

    fn databases(&self) -> Value {
        let snapshot = self.snapshot.load();
        let databases = snapshot.databases.iter();
        databases
            .map(|(name, (client, kind))| client.state().describe(name.as_str(), kind.name()))
            .collect()
    }

    fn subscriptions(&self) -> Value {
        let all = self.flows.subscriptions.all();
        all.iter()
            .map(|subscription| subscription.describe())
            .collect()
    }

    fn subscription(&self, name: &str) -> Option<Arc<dyn admin::Subscription>> {
        Some(self.flows.subscriptions.named(name)?)
    }

    fn relays(&self) -> Value {
        let all = self.flows.relays.all();
        all.iter().map(|relay| relay.describe()).collect()
    }

    fn relay(&self, name: &str) -> Option<Arc<dyn admin::Relay>> {
        Some(self.flows.relays.named(name)?)
    }

    fn reload(&self) -> BoxFuture<'static, Result<ReloadOutcome, String>> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Reload(answer));
        async move {
            let ends = |_| Err("the proxy is ending, or busy with other reloads\n".to_owned());
            answered.await.unwrap_or_else(ends)
        }
        .boxed()
    }

    fn diff(&self, files: Vec<(String, String)>) -> BoxFuture<'static, Result<Value, String>> {
        let comparing = self.comparing.clone();
        comparing.with(self.snapshot.clone(), files).boxed()
    }

    fn register(
        &self,
        registrations: Vec<Registration>,
    ) -> BoxFuture<'static, Result<Registered, NotRegistered>> {
        // It ends by itself, in bounded time, and not with a caller who leaves half-way.
        let registering = tokio::spawn(self.registering.clone().register(registrations));
        let fault = |_| Err(NotRegistered::Failed("a fault of the proxy".to_owned()));
        async move { registering.await.unwrap_or_else(fault) }.boxed()
    }

    fn registered(&self, kind: Kind, name: &str) -> Option<String> {
        let file = registered::file_name(kind, &name.parse().ok()?);
        let snapshot = self.snapshot.load();
        snapshot.content.registered.get(&file).cloned()
    }

    fn drain(&self) {
        self.order(Order::Drain);
    }

    fn quit(&self) {
        self.order(Order::Quit);
    }

    fn set_log_level(&self, level: Level) {
        self.telemetry.log().set_level(level);
    }

    fn log_level(&self) -> Level {
        self.telemetry.log().level()
    }

    fn metrics(&self) -> String {
        let snapshot = self.snapshot.load();
        let mut text = self.telemetry.render(|| {
            for upstream in snapshot.upstreams.values() {
                upstream.set_gauges();
            }
        });
        render_health(snapshot.upstreams.values(), &mut text);
        render_traffic(snapshot.upstreams.values(), &mut text);
        let brokers = snapshot.brokers.iter();
        let brokers = brokers.map(|(name, client)| (name.as_str(), client.state()));
        broker::render_metrics(brokers, &mut text);
        let databases = snapshot.databases.iter();
        let databases = databases.map(|(name, (client, _))| (name.as_str(), client.state()));
        database::render_metrics(databases, &mut text);
        let subscriptions = self.flows.subscriptions.all();
        subscription::render_metrics(subscriptions.iter().map(|one| &**one), &mut text);
        let relays = self.flows.relays.all();
        relay::render_metrics(relays.iter().map(|one| &**one), &mut text);
        snapshot.config.certificates().render_metrics(&mut text);
        text
    }

    fn open_metrics(&self) -> String {
        self.telemetry.open_metrics(&self.metrics())
    }
}

/// A route as `GET /routes` and `GET /routes/NAME` show it: as it is written, without what it does not set; and the
/// `state` of its policies.
pub(crate) fn describe_route<T: Serialize, P: Serialize>(
    name: &Name,
    route: &RouteConfig<T, P>,
    state: Option<Value>,
) -> Value {
    let mut described = json!({ "name": name });
    if let (Value::Object(into), Ok(Value::Object(keys))) =
        (&mut described, serde_json::to_value(route))
    {
        into.extend(keys.into_iter().filter(|(_, value)| !value.is_null()));
        into.extend(state.map(|state| ("state".to_owned(), state)));
    }
    described
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
