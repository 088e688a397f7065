//! One NATS, as whoever publishes and consumes sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::link::{Link, keep_open};
use super::names::Place;
use super::session::{Session, Terms};
use super::unsettled::{self, Unsettled};
use super::{api, consumer, dead_letters, publish, url};
use crate::broker::lanes::Lanes;
use crate::broker::{
    Checked, Client, Confirmed, Consumer, DeadLetter, Destination, Ladder, Message, Refusal,
    Source, State,
};

/// The longest that closing waits for what was published.
const CLOSING: Duration = Duration::from_secs(10);

/// A client that connects on `runtime`, in the background. `name` is the broker's in the config.
pub(in crate::broker) fn connect(
    name: &str,
    checked: &Checked,
    runtime: &Handle,
) -> Arc<dyn Client> {
    let config = &checked.config;
    let servers = url::parse(checked.url()).unwrap_or_else(|_| url::Servers {
        // A URL that was checked can be read.
        addresses: Vec::new(),
        login: url::Login::default(),
    });
    let terms = Terms {
        name: format!("outrigger {name}"),
        login: servers.login.clone(),
        tls: checked.tls().map(|tls| tls.offering_nothing()),
        connect_timeout: config.connect_timeout.0,
        heartbeat: config.heartbeat.0,
    };
    let link = Arc::new(Link::new(name, servers, terms, &config.streams));
    let (unsettled, dropped) = Unsettled::new();
    let tell = unsettled::tell(link.clone(), unsettled.clone(), dropped);
    Arc::new(Nats {
        opening: runtime.spawn(keep_open(link.clone())).abort_handle(),
        telling: runtime.spawn(tell).abort_handle(),
        lanes: Lanes::new(name, runtime),
        runtime: runtime.clone(),
        link,
        unsettled,
        is_closed: AtomicBool::new(false),
        publishing: Arc::default(),
    })
}

struct Nats {
    link: Arc<Link>,
    unsettled: Arc<Unsettled>,
    lanes: Lanes<Session>,
    runtime: Handle,
    opening: AbortHandle,
    telling: AbortHandle,
    is_closed: AtomicBool,
    publishing: Arc<Publishing>,
}

/// How many messages are published and not confirmed.
#[derive(Default)]
struct Publishing {
    count: AtomicUsize,
    ended: Notify,
}

/// One of them.
struct One<'a>(&'a Publishing);

impl Publishing {
    fn begin(&self) -> One<'_> {
        self.count.fetch_add(1, Ordering::AcqRel);
        One(self)
    }

    async fn none(&self) {
        loop {
            let ended = self.ended.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}

impl Nats {
    fn session(&self) -> Result<Arc<Session>, String> {
        self.link.session().ok_or_else(|| self.link.why_down())
    }

    fn block(&self, source: &Source) -> Option<&super::StreamConfig> {
        self.link.streams.get(source.name())
    }
}

impl Client for Nats {
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>> {
        async move {
            let Destination::Subject(subject) = to else {
                let wrong = "NATS has subjects, and no exchanges or topics".to_owned();
                return Err(Refusal::Unfit(wrong));
            };
            let _one = self.publishing.begin();
            if self.is_closed.load(Ordering::Acquire) {
                let why = "the connection to NATS was closed".to_owned();
                return Err(Refusal::Unavailable(why));
            }
            let shared = self.session().map_err(Refusal::Unavailable)?;
            let open = || {
                let (link, beside) = (self.link.clone(), shared.clone());
                async move { link.open_beside(&beside).await }.boxed()
            };
            let session = self.lanes.way(shared.clone(), open).await;
            publish::publish(&session, &subject, &message).await
        }
        .boxed()
    }

    fn consume(&self, from: &Source, prefetch: u16) -> Box<dyn Consumer> {
        let _runtime = self.runtime.enter();
        consumer::begin(&self.link, &self.unsettled, from, prefetch)
    }

    fn ladder(&self, from: &Source) -> Ladder {
        let block = self.block(from);
        block.map(|block| block.retry.clone()).unwrap_or_default()
    }

    fn keeps_dead_letters(&self, from: &Source) -> bool {
        self.block(from).is_some_and(|block| block.dead_letter)
    }

    fn waiting(&self, from: &Source) -> BoxFuture<'_, Option<u64>> {
        let place = Place::new(from);
        async move {
            let (place, session) = (place.ok()?, self.link.session()?);
            let info = format!("CONSUMER.INFO.{}.{}", place.stream, place.consumer);
            let found = api::ask(&session, &info, &Value::Null).await.ok()?;
            found["num_pending"].as_u64()
        }
        .boxed()
    }

    fn dead_letters(
        &self,
        from: &Source,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>> {
        let place = Place::new(from);
        async move { dead_letters::first(&*self.session()?, &place?, limit).await }.boxed()
    }

    fn replay(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let place = Place::new(from);
        async move { dead_letters::replay(&*self.session()?, &place?, limit).await }.boxed()
    }

    fn discard(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let place = Place::new(from);
        async move { dead_letters::discard(&*self.session()?, &place?, limit).await }.boxed()
    }

    fn state(&self) -> State {
        self.link.state()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            self.is_closed.store(true, Ordering::Release);
            self.opening.abort();
            let end = async {
                self.publishing.none().await;
                if let Some(session) = self.link.session() {
                    session.flush().await;
                }
            };
            // What is late may be stored, as whoever published it is told.
            let _late = tokio::time::timeout(CLOSING, end).await;
            self.telling.abort();
            drop(self.lanes.close());
            self.link.close();
        }
        .boxed()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.opening.abort();
        self.telling.abort();
    }
}
