//! The connection to a cluster: made anew whenever it is gone, and looked at from time to time.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use krafka::producer::Producer;
use krafka::{Kafka, KrafkaError};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::TopicConfig;
use super::declare::declare;
use super::settings::Settings;
use crate::broker::lanes::Way;
use crate::broker::{self, State};

/// How long an acknowledged write may take, all its tries included. Whoever waits for one has a shorter limit.
const DELIVERY: Duration = Duration::from_secs(30);
/// How long publishing may wait for room, or to find out who leads a partition.
const ROOM: Duration = Duration::from_secs(10);
/// The largest message: as many bytes wait to be sent at most.
const BUFFER: usize = 32 << 20;
/// The first wait before connecting again, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Topics that are known to be there, before they are looked up anew.
const KNOWN: usize = 1000;

/// The connection to a cluster.
pub(super) struct Link {
    /// The broker's in the config.
    pub name: String,
    pub settings: Settings,
    pub topics: BTreeMap<String, TopicConfig>,
    heartbeat: Duration,
    now: Mutex<Now>,
    doubted: Notify,
}

struct Now {
    cluster: Option<Arc<Cluster>>,
    link: broker::Link,
    mismatches: Vec<(String, String)>,
}

/// What publishes and asks. It goes on by itself when a broker of the cluster is gone for a while.
pub(super) struct Cluster {
    pub kafka: Kafka,
    pub producer: Producer,
    known: Mutex<HashSet<String>>,
    is_lost: AtomicBool,
}

impl Link {
    pub fn new(
        name: &str,
        settings: Settings,
        topics: BTreeMap<String, TopicConfig>,
        heartbeat: Duration,
    ) -> Self {
        Link {
            name: name.to_owned(),
            settings,
            topics,
            heartbeat,
            now: Mutex::new(Now {
                cluster: None,
                link: broker::Link::Down {
                    since: SystemTime::now(),
                    error: None,
                },
                mismatches: Vec::new(),
            }),
            doubted: Notify::new(),
        }
    }

    /// The cluster.
    ///
    /// # Errors
    /// Why there is no connection to it, in a sentence.
    pub fn cluster(&self) -> Result<Arc<Cluster>, String> {
        let now = self.now();
        match (&now.link, &now.cluster) {
            (broker::Link::Connected { .. }, Some(cluster)) => Ok(cluster.clone()),
            (
                broker::Link::Down {
                    error: Some(error), ..
                },
                _,
            ) => Err(format!("there is no connection to Kafka: {error}")),
            _ => Err("there is no connection to Kafka yet".to_owned()),
        }
    }

    pub fn state(&self) -> State {
        let now = self.now();
        State {
            link: now.link.clone(),
            blocked: None,
            mismatches: now.mismatches.clone(),
        }
    }

    /// Has the connection looked at, because something over it did not work.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Has the connection made anew, because `cluster` cannot go on.
    pub fn give_up(&self, cluster: &Arc<Cluster>) {
        cluster.is_lost.store(true, Ordering::Release);
        let mut now = self.now();
        if now
            .cluster
            .as_ref()
            .is_some_and(|one| Arc::ptr_eq(one, cluster))
        {
            now.cluster = None;
        }
        drop(now);
        self.doubt();
    }

    /// Takes what publishes, for it to be closed.
    pub fn close(&self) -> Option<Arc<Cluster>> {
        let mut now = self.now();
        now.link = broker::Link::Down {
            since: SystemTime::now(),
            error: Some("it is closed".to_owned()),
        };
        now.cluster.take()
    }

    /// Connects, and declares what the config names.
    async fn look(&self) -> Result<(), String> {
        let known = self.now().cluster.clone();
        let cluster = match known {
            Some(cluster) => cluster,
            None => {
                let opened = Cluster::open(self).await;
                Arc::new(opened.map_err(|error| error.to_string())?)
            }
        };
        let admin = cluster.kafka.admin();
        // Every try has a limit of its own; this is for what hangs regardless.
        let limit = self.settings.ask() * 4;
        let declared = timeout(
            limit,
            Box::pin(declare(&admin, &self.topics, self.settings.ask())),
        );
        let mismatches = match declared.await {
            Ok(declared) => declared?,
            Err(_) => return Err("the brokers do not answer".to_owned()),
        };
        let mut now = self.now();
        now.cluster = Some(cluster);
        now.mismatches = mismatches;
        if !matches!(now.link, broker::Link::Connected { .. }) {
            now.link = broker::Link::Connected {
                since: SystemTime::now(),
            };
        }
        Ok(())
    }

    fn down(&self, error: String) {
        let mut now = self.now();
        let since = match now.link {
            broker::Link::Down { since, .. } => since,
            broker::Link::Connected { .. } => SystemTime::now(),
        };
        now.link = broker::Link::Down {
            since,
            error: Some(error),
        };
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a link open until this is aborted.
pub(super) async fn keep_open(link: Arc<Link>) {
    let mut failures = 0;
    loop {
        match link.look().await {
            Ok(()) => {
                if failures > 0 || !link.state().is_connected() {
                    tracing::info!(broker = &*link.name, "connected to Kafka");
                }
                failures = 0;
                let _looked_at_in_time = timeout(link.heartbeat, link.doubted.notified()).await;
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(
                        broker = &*link.name,
                        error,
                        "there is no connection to Kafka"
                    );
                }
                link.down(error);
                let wait = after(failures);
                failures = failures.saturating_add(1);
                sleep(wait).await;
            }
        }
    }
}

/// The wait before another try to connect: doubling, with up to a fifth less.
pub(super) fn after(failures: u32) -> Duration {
    let wait = AGAIN.0.saturating_mul(1 << failures.min(5)).min(AGAIN.1);
    wait.mul_f32(1.0 - fastrand::f32() / 5.0)
}

impl Way for Cluster {
    fn is_gone(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }
}

impl Cluster {
    pub async fn open(link: &Link) -> Result<Self, KrafkaError> {
        let kafka = link
            .settings
            .connect(&format!("outrigger {}", link.name))
            .await?;
        let producer = kafka
            .producer()
            .delivery_timeout(DELIVERY)
            .max_block(ROOM)
            // Whoever publishes waits for it. What comes while a batch is under way is one batch anyway.
            .linger(Duration::ZERO)
            .buffer_memory(BUFFER)
            .max_request_size(BUFFER)
            .metrics_push(false);
        let producer = match timeout(link.settings.ask(), Box::pin(producer.build())).await {
            Ok(built) => built?,
            Err(_) => return Err(KrafkaError::timeout("getting a producer id")),
        };
        Ok(Cluster {
            kafka,
            producer,
            known: Mutex::default(),
            is_lost: AtomicBool::new(false),
        })
    }

    /// Whether a topic was there when it was last looked for.
    pub fn knows(&self, topic: &str) -> bool {
        self.known().contains(topic)
    }

    pub fn learn(&self, topic: &str) {
        let mut known = self.known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(topic.to_owned());
    }

    pub fn forget(&self, topic: &str) {
        self.known().remove(topic);
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
