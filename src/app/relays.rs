//! The relays that publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use serde_json::Value;

use crate::admin;
use crate::app::bridge::Bridge;
use crate::app::snapshot::Snapshot;
use crate::relay::{Config, Current, Relay, Start};
use crate::value::Name;

/// The relays that publish now.
#[derive(Default)]
pub struct Relays {
    known: Mutex<Known>,
    /// What records the rows of all of them.
    tracer: Arc<Current>,
}

#[derive(Default)]
struct Known {
    running: BTreeMap<Name, Arc<Relay>>,
    /// Those that are gone, and had something under way then.
    ending: Vec<Arc<Relay>>,
}

impl Relays {
    /// Has those of `snapshot` publish, and no others. What is under way with one that is gone ends by itself.
    pub fn follow(&self, snapshot: &Snapshot, bridge: &Bridge) {
        let spans = snapshot.spans.as_ref();
        (self.tracer).store(spans.map(|spans| spans.tracer.clone()));
        let configs = &snapshot.config.relays;
        let ends = |config: &Config| {
            let database = snapshot.databases.get(&config.database)?;
            Some((database, snapshot.brokers.get(&config.publish.broker)?))
        };
        let mut known = self.known();
        let mut paused = BTreeSet::new();
        for (name, old) in std::mem::take(&mut known.running) {
            let same = configs.get(&name).filter(|config| {
                let ends = ends(config);
                ends.is_some_and(|((database, _), broker)| old.is_like(config, database, broker))
            });
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
            let (Some(((database, kind), broker)), Ok(runtime)) = (ends(config), bridge.runtime())
            else {
                continue;
            };
            let start = Start {
                name,
                database,
                kind: *kind,
                broker,
                runtime,
                tracer: &self.tracer,
                ending: &known.ending,
                paused: paused.contains(name),
            };
            let started = Relay::start(config, &start);
            let started = started.map(|started| (name.clone(), Arc::new(started)));
            known.running.extend(started);
        }
    }

    pub fn all(&self) -> Vec<Arc<Relay>> {
        self.known().running.values().cloned().collect()
    }

    pub fn named(&self, name: &str) -> Option<Arc<Relay>> {
        self.known()
            .running
            .get(&name.parse::<Name>().ok()?)
            .cloned()
    }

    /// Ends all of them, and completes when what was under way has ended.
    pub async fn end(&self) {
        let mut all = self.all();
        all.extend(self.known().ending.iter().cloned());
        join_all(all.iter().map(|relay| relay.end())).await;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl admin::Relay for Relay {
    fn describe(&self) -> Value {
        Relay::describe(self)
    }

    fn pause(&self) {
        Relay::pause(self);
    }

    fn resume(&self) {
        Relay::resume(self);
    }
}
