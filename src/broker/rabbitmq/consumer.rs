//! Takes messages from one queue, on a channel of its own, and does so again when the connection comes back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use lapin::Consumer as Taking;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::timeout;

use super::super::{Consumer, Delivery};
use super::failure::{answer, words};
use super::names::short;
use super::ready;
use super::settle::{self, Inlet};
use super::shared::Shared;
use crate::net::backoff::{Backoff, Jitter};

/// The waits between tries to attach to a queue that does not let us.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};
/// The longest that each message may take that is handed back at the end.
const LAST: Duration = Duration::from_secs(5);
/// When nothing has come for so long, nothing is on its way.
const QUIET: Duration = Duration::from_millis(100);

pub(super) struct QueueConsumer {
    shared: Arc<Shared>,
    queue: Arc<str>,
    prefetch: u16,
    source: Source,
    /// How often attaching has failed since it last worked.
    failures: u32,
    /// Why it is not attached.
    trouble: Option<String>,
}

enum Source {
    Attached(Attached),
    /// Held here, so that whoever drops the future of `next` does not begin anew.
    Attaching(BoxFuture<'static, Result<Attached, String>>),
}

struct Attached {
    /// Everything that is in flight holds on to it.
    inlet: Arc<Inlet>,
    taking: Taking,
}

impl QueueConsumer {
    pub fn new(shared: Arc<Shared>, queue: &str, prefetch: u16) -> Self {
        let queue: Arc<str> = queue.into();
        // 0 would mean without a limit.
        let prefetch = prefetch.max(1);
        QueueConsumer {
            source: attaching(&shared, &queue, prefetch, Duration::ZERO),
            shared,
            queue,
            prefetch,
            failures: 0,
            trouble: None,
        }
    }

    fn lose(&mut self, why: String) {
        let wait = BACKOFF.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.trouble = Some(why);
        self.source = attaching(&self.shared, &self.queue, self.prefetch, wait);
    }

    async fn take(&mut self) -> Delivery {
        loop {
            match &mut self.source {
                Source::Attaching(attaching) => match attaching.await {
                    Ok(attached) => {
                        self.trouble = None;
                        self.source = Source::Attached(attached);
                    }
                    Err(why) => self.lose(why),
                },
                Source::Attached(attached) => match attached.taking.next().await {
                    // What came over a channel that has ended comes again.
                    Some(Ok(taken)) if !taken.acker.usable() => {}
                    Some(Ok(taken)) => {
                        self.failures = 0;
                        let inlet = &attached.inlet;
                        return settle::held(&self.shared, &self.queue, inlet, taken)
                            .into_delivery();
                    }
                    Some(Err(error)) => self.lose(words(&error)),
                    None => self.lose("the broker ended it, as when a queue is deleted".to_owned()),
                },
            }
        }
    }
}

fn attaching(shared: &Arc<Shared>, queue: &Arc<str>, prefetch: u16, wait: Duration) -> Source {
    let (shared, queue) = (shared.clone(), queue.clone());
    Source::Attaching(Box::pin(async move {
        tokio::time::sleep(wait).await;
        let link = shared.linked().await;
        let attached = attach(&link.other.connection, &queue, prefetch).await;
        if attached.is_err() {
            shared.missing.notify_one();
        }
        attached
    }))
}

async fn attach(
    connection: &lapin::Connection,
    queue: &str,
    prefetch: u16,
) -> Result<Attached, String> {
    let channel = answer(connection.create_channel()).await?;
    answer(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let options = BasicConsumeOptions::default();
    let asked = channel.basic_consume(short(queue)?, "".into(), options, FieldTable::default());
    let taking = answer(asked).await?;
    Ok(Attached {
        inlet: Inlet::new(channel),
        taking,
    })
}

impl Consumer for QueueConsumer {
    fn next(&mut self) -> BoxFuture<'_, Delivery> {
        Box::pin(self.take())
    }

    fn trouble(&self) -> Option<String> {
        match &self.source {
            Source::Attached(attached) if attached.inlet.channel.status().connected() => None,
            _ if self.shared.link.borrow().is_none() => Some(self.shared.trouble()),
            _ => Some(match &self.trouble {
                Some(why) => format!("the queue `{}` cannot be consumed: {why}", self.queue),
                None => format!("the queue `{}` is about to be consumed", self.queue),
            }),
        }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Source::Attached(Attached { inlet, mut taking }) = self.source else {
                return;
            };
            let channel = &inlet.channel;
            let mut left = Vec::new();
            // What is on its way when its consumer ends, a quorum queue puts at its end. When all that may be taken at once
            // is here, nothing is.
            let here = || Arc::strong_count(&inlet) as u64 - 1 + inlet.left();
            while here() < u64::from(self.prefetch)
                && let Ok(Some(Ok(taken))) = timeout(QUIET, taking.next()).await
            {
                left.push(settle::held(&self.shared, &self.queue, &inlet, taken));
            }
            // Without it, or late, the end of the channel gives back what is left.
            let cancelled = channel.basic_cancel(taking.tag(), BasicCancelOptions::default());
            if answer(cancelled).await.is_err() {
                return;
            }
            while let Ok(Some(Ok(taken))) = timeout(LAST, taking.next()).await {
                left.push(settle::held(&self.shared, &self.queue, &inlet, taken));
            }
            // Each of them, and this.
            let nothing_in_flight = Arc::strong_count(&inlet) == left.len() + 1;
            let Ok(before) = ready::count(channel, &self.queue).await else {
                return;
            };
            let wanted = before + left.len() as u64 + inlet.left();
            for held in &left {
                // What is in flight would come twice if the channel ended; without, that keeps the order.
                if held.is_worn() || !nothing_in_flight {
                    let _late = timeout(LAST, held.hand_back()).await;
                }
            }
            if nothing_in_flight {
                let _gone = answer(channel.close(200, "done".into())).await;
            }
            let Ok(link) = self.shared.link() else {
                return;
            };
            if let Ok(channel) = answer(link.other.connection.create_channel()).await {
                ready::until(&channel, &self.queue, wanted).await;
            }
        })
    }
}
