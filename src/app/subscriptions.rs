//! The subscriptions that deliver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::admin;
use crate::app::bridge::Bridge;
use crate::app::hands::Hands;
use crate::app::snapshot::Snapshot;
use crate::app::worker::Workers;
use crate::http::message::Request;
use crate::http::semantics::retry_after;
use crate::proxy::Proxy;
use crate::subscription::{self, Config, Deliver, Outcome, Start, Subscription};
use crate::value::Name;

/// The subscriptions that deliver now.
pub struct Subscriptions {
    deliver: Arc<dyn Deliver>,
    hands: Hands,
    snapshot: Arc<ArcSwap<Snapshot>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    running: BTreeMap<Name, Arc<Subscription>>,
    /// Those that are gone, and had something under way then.
    ending: Vec<Arc<Subscription>>,
    /// What the bridge keeps is looked after.
    bridge_is_kept: bool,
}

impl Subscriptions {
    /// What the bridge keeps follows `snapshot`.
    pub fn new(workers: &Workers, snapshot: &Arc<ArcSwap<Snapshot>>) -> Self {
        let hands = workers.hands();
        Subscriptions {
            deliver: Arc::new(ByHands {
                proxy: workers.proxy().clone(),
                hands: hands.clone(),
            }),
            hands,
            snapshot: snapshot.clone(),
            known: Mutex::default(),
        }
    }

    /// Has those of `snapshot` deliver, and no others. What is under way with one that is gone ends by itself.
    pub fn follow(&self, snapshot: &Snapshot, bridge: &Bridge) {
        let configs = &snapshot.config.subscriptions;
        let client = |config: &Config| snapshot.brokers.get(&config.broker);
        let mut known = self.known();
        let mut paused = BTreeSet::new();
        for (name, old) in std::mem::take(&mut known.running) {
            let same = configs
                .get(&name)
                .filter(|config| client(config).is_some_and(|client| old.is_like(config, client)));
            if same.is_some() {
                known.running.insert(name, old);
                continue;
            }
            if old.is_paused() {
                paused.insert(name);
            }
            old.stop();
            known.ending.push(old);
        }
        known.ending.retain(|old| !old.has_ended());
        for (name, config) in configs {
            if known.running.contains_key(name) {
                continue;
            }
            let (Some(client), Ok(runtime)) = (client(config), bridge.runtime()) else {
                continue;
            };
            if !known.bridge_is_kept {
                known.bridge_is_kept = true;
                // It ends with the bridge.
                let hands = self.hands.clone();
                runtime.spawn(hands.look_after_bridge(self.snapshot.clone()));
            }
            let start = Start {
                name,
                client,
                deliver: &self.deliver,
                runtime,
                ending: &known.ending,
                paused: paused.contains(name),
            };
            let started = Subscription::start(config, &start);
            let started = started.map(|started| (name.clone(), Arc::new(started)));
            known.running.extend(started);
        }
    }

    pub fn all(&self) -> Vec<Arc<Subscription>> {
        self.known().running.values().cloned().collect()
    }

    pub fn named(&self, name: &str) -> Option<Arc<Subscription>> {
        self.known()
            .running
            .get(&name.parse::<Name>().ok()?)
            .cloned()
    }

    /// Has none of them take more messages.
    pub fn stop(&self) {
        for subscription in self.all() {
            subscription.stop();
        }
    }

    /// Ends all of them, and completes when what was under way has ended.
    pub async fn end(&self) {
        let mut all = self.all();
        all.extend(self.known().ending.iter().cloned());
        join_all(all.iter().map(|subscription| subscription.end())).await;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has those deliver that have connections to upstreams.
struct ByHands {
    proxy: Arc<Proxy>,
    hands: Hands,
}

impl Deliver for ByHands {
    fn deliver(&self, route: &Arc<str>, request: Box<Request>) -> BoxFuture<'static, Outcome> {
        let (proxy, route) = (self.proxy.clone(), route.clone());
        let (mut tell, told) = oneshot::channel();
        self.hands.run(Box::pin(async move {
            tokio::select! {
                outcome = deliver(&proxy, &route, request) => {
                    let _nobody_waits = tell.send(outcome);
                }
                () = tell.closed() => {}
            }
        }));
        told.map(|outcome| outcome.unwrap_or_else(|_| Outcome::not_taken()))
            .boxed()
    }
}

async fn deliver(proxy: &Proxy, route: &str, request: Box<Request>) -> Outcome {
    let delivered = proxy.deliver(route, request).await;
    let mut response = delivered.response;
    let mut outcome = Outcome {
        status: response.status.as_u16(),
        refused: response.refused.map(|reason| reason.name),
        unsent: delivered.unsent,
        retry_after: retry_after::read(&response.headers),
        body: Default::default(),
    };
    let mut first = BytesMut::new();
    while let Some(frame) = response.body.frame().await {
        match frame {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    let room = subscription::MOST_OF_ANSWER - first.len();
                    first.extend_from_slice(&data[..room.min(data.len())]);
                }
            }
            // The application was cut off in the middle of its word.
            Err(error) => {
                return Outcome {
                    status: error.status().as_u16(),
                    refused: Some(error.reason().name),
                    ..outcome
                };
            }
        }
    }
    outcome.body = first.freeze();
    outcome
}

impl admin::Subscription for Subscription {
    fn describe(&self) -> Value {
        Subscription::describe(self)
    }

    fn pause(&self) {
        Subscription::pause(self);
    }

    fn resume(&self) {
        Subscription::resume(self);
    }

    fn dead_letters(&self, limit: usize, bytes: usize) -> BoxFuture<'_, Result<Value, String>> {
        Subscription::dead_letters(self, limit, bytes).boxed()
    }

    fn replay(&self, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        Subscription::replay(self, limit).boxed()
    }

    fn discard(&self, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        Subscription::discard(self, limit).boxed()
    }
}
