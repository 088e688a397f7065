//! What the parts of a client share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use lapin::BasicProperties;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::super::{Config, Ladder, Refusal};
use super::book::Parcel;
use super::given::Given;
use super::link::Link;
use super::names::short;
use super::settle::Held;
use crate::broker::{self, State};

pub(super) struct Shared {
    /// The broker's name in the config.
    pub name: String,
    pub config: Config,
    pub link: watch::Sender<Option<Arc<Link>>>,
    state: Mutex<State>,
    /// Something that the config names may be missing.
    pub missing: Notify,
    /// Deliveries that nobody has settled, to be handed back.
    pub dropped: mpsc::UnboundedSender<Held>,
    /// One at a time looks at dead letters: two would each see a part.
    pub letters: Semaphore,
    pub given: Given,
    closed: watch::Sender<bool>,
}

impl Shared {
    pub fn new(name: &str, config: &Config, dropped: mpsc::UnboundedSender<Held>) -> Self {
        Shared {
            name: name.to_owned(),
            config: config.clone(),
            link: watch::Sender::new(None),
            state: Mutex::new(State {
                link: broker::Link::Down {
                    since: SystemTime::now(),
                    error: None,
                },
                blocked: None,
                mismatches: Vec::new(),
            }),
            missing: Notify::new(),
            dropped,
            letters: Semaphore::new(1),
            given: Given::default(),
            closed: watch::Sender::new(false),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link, while there is one.
    pub fn link(&self) -> Result<Arc<Link>, String> {
        let link = self.link.borrow().clone();
        link.ok_or_else(|| self.trouble())
    }

    /// Waits for a link; pending for ever once the client was closed.
    pub async fn linked(&self) -> Arc<Link> {
        let mut link = self.link.subscribe();
        loop {
            if let Some(link) = &*link.borrow_and_update() {
                return link.clone();
            }
            // The sender lives in here.
            let _changed = link.changed().await;
        }
    }

    /// Why there is no link.
    pub fn trouble(&self) -> String {
        match &self.state().link {
            broker::Link::Connected { .. } => "the broker is not ready yet".to_owned(),
            broker::Link::Down { error: None, .. } => "there is no connection yet".to_owned(),
            broker::Link::Down {
                error: Some(error), ..
            } => format!("there is no connection: {error}"),
        }
    }

    /// Publishes what is ready to be sent.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        properties: &BasicProperties,
        body: &Bytes,
    ) -> Result<(), Refusal> {
        let link = self.link().map_err(Refusal::Unavailable)?;
        let parcel = Parcel {
            exchange: short(exchange).map_err(Refusal::Unfit)?,
            routing_key: short(routing_key).map_err(Refusal::Unfit)?,
            properties: properties.clone(),
            body: body.clone(),
        };
        link.publish(parcel).await
    }

    pub fn ladder(&self, queue: &str) -> Ladder {
        let config = self.config.queues.get(queue);
        config.map(|queue| queue.retry.clone()).unwrap_or_default()
    }

    pub fn keeps_dead_letters(&self, queue: &str) -> bool {
        let config = self.config.queues.get(queue);
        config.is_some_and(|queue| queue.dead_letter)
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Nothing is begun afterwards.
    pub fn close(&self) -> Option<Arc<Link>> {
        self.closed.send_replace(true);
        self.state().link = broker::Link::Down {
            since: SystemTime::now(),
            error: Some("this client was closed".to_owned()),
        };
        self.link.send_replace(None)
    }
}
