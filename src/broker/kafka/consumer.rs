//! Gives out what was taken, and settles it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use krafka::Record;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::held::Held;
use super::link::Link;
use super::names;
use super::publish::publish_here;
use super::record::{self, Notes};
use super::taken::Taken;
use crate::broker::{Consumer, Delivery, Lost, Settle, Verdict};

/// The longest that settling waits for what was settled to be committed.
const COMMIT: Duration = Duration::from_secs(10);

/// The longest that closing waits for the group to be left.
const LEAVING: Duration = Duration::from_secs(8);

/// A member of a group.
pub(super) struct Member {
    pub out: Arc<Out>,
}

/// What the deliveries of a member have in common.
pub(super) struct Out {
    pub link: Arc<Link>,
    pub taken: Arc<Taken>,
    pub topic: String,
    pub group: String,
    pub runtime: Handle,
}

impl Consumer for Member {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        let next = async {
            loop {
                let ready = self.out.taken.ready.notified();
                if let Some(held) = self.out.taken.give() {
                    return delivery(held, self.out.clone());
                }
                ready.await;
            }
        };
        next.boxed()
    }

    fn trouble(&self) -> Option<String> {
        let gone = || self.out.link.cluster().err();
        self.out.taken.trouble().or_else(gone)
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        let taken = self.out.taken.clone();
        drop(self);
        let left = async move {
            // What is out is settled before the member leaves, so that this can be committed: by whoever closes it here, maybe.
            if taken.is_over() {
                // Who comes next is let in sooner, and some brokers let nobody in who comes while another leaves.
                let _in_time = timeout(LEAVING, taken.left()).await;
            }
        };
        left.boxed()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.out.taken.close();
    }
}

fn delivery(held: Held, out: Arc<Out>) -> Delivery {
    Delivery {
        message: record::message(&held.record),
        attempt: held.attempt,
        redelivered: held.again,
        key: record::key(&held.record),
        settle: Box::new(Settling {
            held: Some(held),
            out,
        }),
    }
}

/// A record that is out. It is taken back when this drops.
struct Settling {
    held: Option<Held>,
    out: Arc<Out>,
}

impl Settle for Settling {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>> {
        let runtime = self.out.runtime.clone();
        let settled = runtime.spawn(self.become_of(verdict));
        let settled = async {
            let ended = settled.await;
            ended.unwrap_or_else(|_| Err(Lost("the program ends: it comes again".to_owned())))
        };
        settled.boxed()
    }
}

impl Settling {
    async fn become_of(mut self: Box<Self>, verdict: Verdict) -> Result<(), Lost> {
        let Some(held) = &self.held else {
            return Ok(());
        };
        let copy = match verdict {
            Verdict::Done => None,
            Verdict::Return | Verdict::Leave => return Ok(()),
            Verdict::Retry { step } => Some(self.out.waiting(held, step)?),
            Verdict::DeadLetter { reason } => Some(self.out.dead(held, reason)?),
        };
        if let Some(copy) = copy {
            // Whoever has the partition now decides what becomes of it.
            if !self.out.taken.is_ours(held) {
                return Err(Lost("the group has taken its partition away".to_owned()));
            }
            let stored = publish_here(&self.out.link, copy).await;
            stored.map_err(|refusal| {
                Lost(format!(
                    "its copy could not be stored: {}",
                    refusal.why().to_owned()
                ))
            })?;
        }
        let Some(held) = self.held.take() else {
            return Ok(());
        };
        let Some(committed) = self.out.taken.settle(&held)? else {
            // Kafka commits in order: it is, once those before it are settled.
            return Ok(());
        };
        match timeout(COMMIT, committed).await {
            Ok(Ok(committed)) => committed,
            Ok(Err(_)) | Err(_) => Err(Lost("it could not be committed in time".to_owned())),
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.out.taken.take_back(held);
        }
    }
}

impl Out {
    /// The copy that waits on a step.
    fn waiting(&self, held: &Held, step: usize) -> Result<Record, Lost> {
        let config = self.link.topics.get(&self.topic);
        let delay = config.and_then(|config| config.retry.delay(step));
        let delay = delay.ok_or_else(|| Lost(format!("there is no step {}", step + 1)))?;
        let notes = Notes {
            group: Some(self.group.clone()),
            attempt: Some(held.attempt.saturating_add(1)),
            not_before: Some(SystemTime::now() + delay),
            again: held.again,
            ..Notes::default()
        };
        Ok(record::copy(
            &held.record,
            &names::retry(&self.topic, step),
            &notes,
        ))
    }

    /// The copy among the dead letters.
    fn dead(&self, held: &Held, reason: String) -> Result<Record, Lost> {
        let config = self.link.topics.get(&self.topic);
        if !config.is_some_and(|config| config.dead_letter) {
            return Err(Lost(format!(
                "dead letters of `{}` are not kept: it comes again",
                self.topic
            )));
        }
        let notes = Notes {
            group: Some(self.group.clone()),
            reason: Some(reason),
            attempts: Some(held.attempt),
            since: Some(SystemTime::now()),
            origin: Some(record::place(&held.record)),
            ..Notes::default()
        };
        let topic = names::dead(&self.topic);
        Ok(record::copy(&held.record, &topic, &notes))
    }
}
