//! One cluster of Kafka, as whoever publishes and consumes sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use krafka::CloseOptions;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use super::attach::{Reading, attach};
use super::consumer::{Member, Out};
use super::link::{Cluster, Link, keep_open};
use super::settings::Settings;
use super::taken::Taken;
use super::{letters, publish, record, url};
use crate::broker::lanes::Lanes;
use crate::broker::{
    Checked, Client, Confirmed, Consumer, DeadLetter, Destination, Ladder, Message, Refusal,
    Source, State,
};
use crate::tls::outbound;

/// The longest that closing waits for what is under way, once for consumers and once for what was published.
const CLOSING: Duration = Duration::from_secs(10);

/// A client that connects on `runtime`, in the background. `name` is the broker's in the config.
pub(in crate::broker) fn connect(
    name: &str,
    checked: &Checked,
    runtime: &Handle,
) -> Arc<dyn Client> {
    let config = &checked.config;
    let address = url::parse(checked.url()).unwrap_or_else(|_| url::Address {
        // A URL that was checked can be read.
        servers: String::new(),
        login: None,
    });
    let by_default = outbound::Config::default();
    let tls = checked
        .tls()
        .map(|_| config.tls.as_ref().unwrap_or(&by_default));
    let (connect_timeout, heartbeat) = (config.connect_timeout.0, config.heartbeat.0);
    let settings = Settings::new(address, tls, connect_timeout, heartbeat);
    let link = Link::new(name, settings, config.topics.clone(), heartbeat);
    let link = Arc::new(link);
    Arc::new(Kafka {
        opening: runtime.spawn(keep_open(link.clone())).abort_handle(),
        lanes: Arc::new(Lanes::new(name, runtime)),
        runtime: runtime.clone(),
        link,
        ended: watch::Sender::new(false),
        members: Mutex::default(),
    })
}

struct Kafka {
    link: Arc<Link>,
    lanes: Arc<Lanes<Cluster>>,
    runtime: Handle,
    opening: AbortHandle,
    /// True when the members of groups are to leave, which they also do when this drops.
    ended: watch::Sender<bool>,
    members: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.opening.abort();
        self.ended.send_replace(true);
    }
}

impl Kafka {
    /// Runs where krafka's connections are. It goes on when nobody waits for it any more.
    fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, Option<T>> {
        let running = self.runtime.spawn(future);
        running.map(Result::ok).boxed()
    }

    fn members(&self) -> Vec<JoinHandle<()>> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *members)
    }
}

impl Client for Kafka {
    fn publish(
        &self,
        to: Destination,
        message: Message,
    ) -> BoxFuture<'_, Result<Confirmed, Refusal>> {
        let Destination::Topic { topic, key } = to else {
            let refusal = Refusal::Unfit("this is no place in Kafka".to_owned());
            return std::future::ready(Err(refusal)).boxed();
        };
        let record = match record::of(&topic, key, message) {
            Ok(record) => record,
            Err(why) => return std::future::ready(Err(Refusal::Unfit(why))).boxed(),
        };
        let published = async {
            let link = &self.link;
            let shared = link.cluster().map_err(Refusal::Unavailable)?;
            let open = || {
                let link = link.clone();
                async move {
                    Cluster::open(&link)
                        .await
                        .map_err(|error| error.to_string())
                }
                .boxed()
            };
            let cluster = self.lanes.way(shared, open).await;
            publish::publish(link, &cluster, record).await
        };
        published.boxed()
    }

    fn consume(&self, from: &Source, prefetch: u16) -> Box<dyn Consumer> {
        let (topic, group) = place(from);
        let taken = Arc::new(Taken::new(group, prefetch));
        let reading = Reading {
            topic: topic.to_owned(),
            group: group.to_owned(),
            prefetch,
        };
        let link = self.link.clone();
        let member = attach(link, reading, taken.clone(), self.ended.subscribe());
        let leaving = taken.clone();
        let member = self.runtime.spawn(async move {
            member.await;
            leaving.has_left();
        });
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| !member.is_finished());
        members.push(member);
        Box::new(Member {
            out: Arc::new(Out {
                link: self.link.clone(),
                taken,
                topic: topic.to_owned(),
                group: group.to_owned(),
                runtime: self.runtime.clone(),
            }),
        })
    }

    fn ladder(&self, from: &Source) -> Ladder {
        let config = self.link.topics.get(from.name());
        config
            .map(|config| config.retry.clone())
            .unwrap_or_default()
    }

    fn keeps_dead_letters(&self, from: &Source) -> bool {
        let config = self.link.topics.get(from.name());
        config.is_some_and(|config| config.dead_letter)
    }

    fn waiting(&self, from: &Source) -> BoxFuture<'_, Option<u64>> {
        let (topic, group) = owned(from);
        let link = self.link.clone();
        let asked = self.run(async move { letters::waiting(&link, &topic, &group).await });
        async { asked.await?.ok() }.boxed()
    }

    fn dead_letters(
        &self,
        from: &Source,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<DeadLetter>, String>> {
        let (topic, group) = owned(from);
        let link = self.link.clone();
        let read = self.run(async move { letters::read(&link, &topic, &group, limit).await });
        async { read.await.unwrap_or_else(ends) }.boxed()
    }

    fn replay(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let (topic, group) = owned(from);
        let link = self.link.clone();
        let moved = self.run(async move { letters::replay(&link, &topic, &group, limit).await });
        async { moved.await.unwrap_or_else(ends) }.boxed()
    }

    fn discard(&self, from: &Source, limit: usize) -> BoxFuture<'_, Result<usize, String>> {
        let (topic, group) = owned(from);
        let link = self.link.clone();
        let passed = self.run(async move { letters::discard(&link, &topic, &group, limit).await });
        async { passed.await.unwrap_or_else(ends) }.boxed()
    }

    fn state(&self) -> State {
        self.link.state()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.opening.abort();
        self.ended.send_replace(true);
        let members = self.members();
        let link = self.link.clone();
        let lanes = self.lanes.clone();
        let closed = self.run(async move {
            // They may publish what they settle, so they end first.
            if timeout(CLOSING, join_all(members)).await.is_err() {
                tracing::warn!(broker = &*link.name, "a group was not left in time");
            }
            let mut clusters: Vec<_> = link.close().into_iter().collect();
            clusters.extend(lanes.close());
            let closed = clusters.iter().map(|cluster| async {
                let options = CloseOptions::new().timeout(CLOSING);
                if let Err(error) = Box::pin(cluster.producer.close_with(options)).await {
                    tracing::warn!(broker = &*link.name, %error, "not all that was published is confirmed");
                }
            });
            join_all(closed).await;
        });
        async { closed.await.unwrap_or_default() }.boxed()
    }
}

fn ends<T>() -> Result<T, String> {
    Err("the program ends".to_owned())
}

/// A topic and a group. A source of another kind has none, and its checks do not let one come here.
fn place(from: &Source) -> (&str, &str) {
    match from {
        Source::Topic { topic, group } => (topic, group),
        other => (other.name(), ""),
    }
}

fn owned(from: &Source) -> (String, String) {
    let (topic, group) = place(from);
    (topic.to_owned(), group.to_owned())
}
