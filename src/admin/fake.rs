//! A proxy to test the admin API with, and a client that speaks plain HTTP/1.1 to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use super::{
    AdminAddress, Kind, NotCarriedOut, NotRegistered, Proxy, Registered, Registration, Relay,
    ReloadOutcome, Subscription, api, bind, probes, serve,
};
use crate::explain::{Explanation, Question};
use crate::listener::ListenAddress;
use crate::policy::orders::Order;
use crate::telemetry::log::Level;
use crate::telemetry::requests::Query;

/// Tells fixed things and remembers what it was asked to change.
#[derive(Default)]
pub(crate) struct Fake {
    /// What it tells of a route, where a test says so, and of its metrics.
    route: Option<Value>,
    metrics: Option<String>,
    calls: Arc<Mutex<Vec<String>>>,
    unready: Mutex<Option<&'static str>>,
    refusal: Mutex<Option<&'static str>>,
    /// A reload waits here while there is one.
    held: Mutex<Option<Arc<Semaphore>>>,
    begun: Arc<tokio::sync::Notify>,
}

impl Fake {
    pub(crate) fn telling(route: Value, metrics: impl Into<String>) -> Self {
        Fake {
            route: Some(route),
            metrics: Some(metrics.into()),
            ..Fake::default()
        }
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    pub(super) fn set_unready(&self, why: &'static str) {
        *self.unready.lock().unwrap() = Some(why);
    }

    pub(super) fn refuse_reloads(&self, report: &'static str) {
        *self.refusal.lock().unwrap() = Some(report);
    }

    pub(super) fn hold_reloads(&self) {
        *self.held.lock().unwrap() = Some(Arc::new(Semaphore::new(0)));
    }

    pub(super) async fn reload_begun(&self) {
        self.begun.notified().await;
    }

    pub(super) fn release_reloads(&self) {
        if let Some(held) = &*self.held.lock().unwrap() {
            held.add_permits(1);
        }
    }

    fn called(&self, what: impl Into<String>) {
        self.calls.lock().unwrap().push(what.into());
    }
}

impl Proxy for Fake {
    fn readiness(&self) -> Result<(), &'static str> {
        match *self.unready.lock().unwrap() {
            None => Ok(()),
            Some(why) => Err(why),
        }
    }

    fn config(&self) -> Value {
        json!({ "what": "config" })
    }

    fn places(&self) -> BoxFuture<'static, Value> {
        std::future::ready(json!({ "what": "places" })).boxed()
    }

    fn stats(&self) -> Value {
        json!({ "what": "stats" })
    }

    fn reloads(&self) -> Value {
        json!({ "what": "reloads" })
    }

    fn certificates(&self) -> Value {
        json!({ "what": "certs" })
    }

    fn listeners(&self) -> Value {
        json!({ "what": "listeners" })
    }

    fn routes(&self) -> Value {
        json!({ "what": "routes" })
    }

    fn route(&self, name: &str) -> Option<Value> {
        let told = self.route.clone();
        told.or_else(|| (name == "pay").then(|| json!({ "what": "pay" })))
    }

    fn route_stats(&self, name: &str) -> Option<Value> {
        (name == "pay").then(|| json!({ "what": "stats of pay" }))
    }

    fn route_health(&self, name: &str) -> Option<Value> {
        (name == "pay").then(|| json!({ "what": "health of pay" }))
    }

    fn requests(&self, query: &Query) -> Value {
        let Query {
            route,
            reason,
            slow,
            limit,
            ..
        } = query;
        json!({ "what": format!("{route:?} {reason:?} {slow:?} {limit}") })
    }

    fn request(&self, request_id: &str) -> Option<Value> {
        (request_id == "r-1").then(|| json!({ "what": "r-1" }))
    }

    fn upstreams(&self) -> Value {
        json!({ "what": "upstreams" })
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        (name == "payments").then(|| json!({ "what": "payments" }))
    }

    fn relays(&self) -> Value {
        json!({ "what": "relays" })
    }

    fn relay(&self, name: &str) -> Option<Arc<dyn Relay>> {
        (name == "orders").then(|| Arc::new(Orders(self.calls.clone())) as Arc<dyn Relay>)
    }

    fn order_policy(&self, route: &str, order: &dyn Order) -> Result<(), NotCarriedOut> {
        match route {
            "pay" => self.called(format!("{order:?}")),
            "ship" => return Err(NotCarriedOut::NoPolicy),
            _ => return Err(NotCarriedOut::NoRoute),
        }
        Ok(())
    }

    fn explain(&self, question: Question) -> BoxFuture<'static, Result<Explanation, String>> {
        let why = format!("{} {} is not explained here", question.method, question.url);
        std::future::ready(Err(why)).boxed()
    }

    fn brokers(&self) -> Value {
        json!([
            { "name": "events", "connected": false },
            { "name": "orders", "connected": true },
        ])
    }

    fn databases(&self) -> Value {
        json!({ "what": "databases" })
    }

    fn subscriptions(&self) -> Value {
        json!({ "what": "subscriptions" })
    }

    fn subscription(&self, name: &str) -> Option<Arc<dyn Subscription>> {
        (name == "orders").then(|| Arc::new(Orders(self.calls.clone())) as _)
    }

    fn reload(&self) -> BoxFuture<'static, Result<ReloadOutcome, String>> {
        let refusal = *self.refusal.lock().unwrap();
        let held = self.held.lock().unwrap().clone();
        let begun = self.begun.clone();
        async move {
            begun.notify_one();
            if let Some(held) = held {
                held.acquire().await.unwrap().forget();
            }
            match refusal {
                Some(report) => Err(report.to_owned()),
                None => Ok(ReloadOutcome {
                    generation: 7,
                    changed: true,
                }),
            }
        }
        .boxed()
    }

    fn diff(&self, files: Vec<(String, String)>) -> BoxFuture<'static, Result<Value, String>> {
        let wrong = files.iter().any(|(_, text)| text == "wrong");
        std::future::ready(if wrong {
            Err("error: wrong\n".to_owned())
        } else {
            Ok(json!({ "same": false }))
        })
        .boxed()
    }

    fn register(
        &self,
        registrations: Vec<Registration>,
    ) -> BoxFuture<'static, Result<Registered, NotRegistered>> {
        let mut outcome = Ok(Registered {
            generation: 8,
            created: true,
            etag: Some("\"one\"".to_owned()),
        });
        for Registration {
            kind,
            name,
            content,
            ..
        } in registrations
        {
            match (name.as_str(), content) {
                ("wrong", _) => {
                    let problems = json!([{ "line": 1 }]);
                    outcome = Err(NotRegistered::Wrong("the report\n".to_owned(), problems));
                }
                ("changed", _) => {
                    outcome = Err(NotRegistered::Changed(Some("\"two\"".to_owned())));
                }
                (_, Some((format, body))) => {
                    let body = String::from_utf8_lossy(&body).into_owned();
                    self.called(format!("{kind:?} {name} {format:?} {body}"));
                }
                (_, None) => {
                    self.called(format!("{kind:?} {name} goes"));
                    outcome = Ok(Registered {
                        generation: 9,
                        created: false,
                        etag: None,
                    });
                }
            }
        }
        std::future::ready(outcome).boxed()
    }

    fn registered(&self, _: Kind, name: &str) -> Option<String> {
        (name == "pay").then(|| "\"one\"".to_owned())
    }

    fn drain(&self) {
        self.called("drain");
    }

    fn quit(&self) {
        self.called("quit");
    }

    fn log_level(&self) -> Level {
        Level::Warn
    }

    fn set_log_level(&self, level: Level) {
        self.called(format!("level {level:?}"));
    }

    fn metrics(&self) -> String {
        let told = self.metrics.clone();
        told.unwrap_or_else(|| "# TYPE up gauge\nup 1\n".to_owned())
    }

    fn open_metrics(&self) -> String {
        self.metrics() + "# EOF\n"
    }
}

/// A subscription with one dead letter, and a relay.
struct Orders(Arc<Mutex<Vec<String>>>);

impl Orders {
    fn called(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

impl Subscription for Orders {
    fn describe(&self) -> Value {
        json!({ "what": "orders" })
    }

    fn pause(&self) {
        self.called("pause");
    }

    fn resume(&self) {
        self.called("resume");
    }

    fn dead_letters(&self, limit: usize, bytes: usize) -> BoxFuture<'_, Result<Value, String>> {
        async move { Ok(json!([{ "limit": limit, "bytes": bytes }])) }.boxed()
    }

    fn replay(&self, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        async move { Ok(limit.min(1)) }.boxed()
    }

    fn discard(&self, _: usize) -> BoxFuture<'_, Result<usize, String>> {
        async { Err("the broker is not there".to_owned()) }.boxed()
    }
}

impl Relay for Orders {
    fn describe(&self) -> Value {
        json!({ "what": "orders" })
    }

    fn pause(&self) {
        self.called("pause");
    }

    fn resume(&self) {
        self.called("resume");
    }
}

/// The admin API of a fake proxy, served until this ends.
pub(super) struct Served {
    pub(super) proxy: Arc<Fake>,
    pub(super) address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Served {
    pub(super) async fn end(self) {
        drop(self.shutdown);
        self.serving.await.unwrap();
    }

    /// Sends one request, its head without the empty line, and reads the answer to the end of the connection.
    pub(super) async fn exchange(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("{head}Connection: close\r\n\r\n{body}");
        // An early refusal may close the connection before all is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

pub(super) async fn exchange(served: &Served, head: &str) -> String {
    served.exchange(head, "").await
}

/// What the admin API of `fake` answers to `GET path`.
pub(crate) async fn got(fake: Fake, path: &str) -> String {
    let served = api_over_tcp(fake).await;
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n");
    let answer = exchange(&served, &head).await;
    served.end().await;
    answer
}

pub(super) async fn api_over_tcp(fake: Fake) -> Served {
    served(fake, any_port(), api).await
}

pub(super) async fn api_over_unix(fake: Fake, path: &Path) -> Served {
    let address = ListenAddress::Unix(path.to_owned());
    served(fake, address, api).await
}

pub(super) async fn probes_over_tcp(fake: Fake) -> Served {
    served(fake, any_port(), |proxy, _| probes(proxy)).await
}

async fn served(
    fake: Fake,
    address: ListenAddress,
    router: impl FnOnce(Arc<dyn Proxy>, &ListenAddress) -> Router,
) -> Served {
    let proxy = Arc::new(fake);
    let bound = bind(&AdminAddress(Some(address))).unwrap().unwrap();
    let router = router(proxy.clone(), bound.address());
    let address = match bound.address() {
        ListenAddress::Tcp(address) => *address,
        ListenAddress::Unix(_) => ([127, 0, 0, 1], 0).into(),
    };
    let (shutdown, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(bound, router, Arc::default(), async {
        let _ = ended.await;
    }));
    Served {
        proxy,
        address,
        shutdown,
        serving,
    }
}

fn any_port() -> ListenAddress {
    ListenAddress::Tcp(([127, 0, 0, 1], 0).into())
}

pub(crate) fn json_of(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("json"), "{head}");
    assert!(body.ends_with('\n'));
    serde_json::from_str(body).unwrap()
}
