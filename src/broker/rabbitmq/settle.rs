//! What becomes of a delivery.
//!
//! The broker counts how often a message of a quorum queue was given out without an end (`x-delivery-count`), and may drop
//! a message for it: RabbitMQ 4 after twenty times. A message that is handed back costs such a life, whichever way: by
//! `basic.nack`, or by the end of its channel. So one that was handed back often already is put at the end of its queue
//! anew instead, where it begins with none.
//!
//! `basic.nack` puts a message of a quorum queue at the end, and one of a classic queue where it was. The end of a channel
//! puts all where they were that had come over it; those that were on their way, a quorum queue puts at its end as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use lapin::message::Delivery as Taken;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use lapin::{BasicProperties, Channel};
use tokio::time::{Instant, timeout};

use super::super::{Delivery, Lost, Refusal, Settle, Verdict};
use super::failure::{ANSWER, answer};
use super::headers::{self, AGAIN, ATTEMPT, KEY, REASON, SINCE};
use super::names::{letters_exchange, step};
use super::properties;
use super::shared::Shared;

/// From so many lives on a message is put anew rather than handed back.
const MANY_LIVES: u64 = 3;
const DELIVERY_COUNT: &str = "x-delivery-count";
const YES: &str = "true";
/// The longest that one copy may take to be confirmed.
const COPY: Duration = Duration::from_secs(30);
/// For how long it is tried to put a message where it shall wait, when the broker refuses that.
const REFUSED: Duration = Duration::from_secs(60);
/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A channel over which messages come.
pub(super) struct Inlet {
    pub channel: Channel,
    /// How many go back when it ends, and are nobody's any more.
    left: AtomicU64,
}

impl Inlet {
    pub fn new(channel: Channel) -> Arc<Self> {
        Arc::new(Inlet {
            channel,
            left: AtomicU64::new(0),
        })
    }

    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn leave(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was taken, with all that is needed to settle it. It holds on to `inlet`, whose end would give the message back.
pub(super) fn held(
    shared: &Arc<Shared>,
    queue: &Arc<str>,
    inlet: &Arc<Inlet>,
    taken: Taken,
) -> Held {
    let table = taken.properties.headers().as_ref();
    let key = headers::get(table, KEY).unwrap_or_else(|| taken.routing_key.to_string());
    let attempt = headers::get(table, ATTEMPT).and_then(|attempt| attempt.parse().ok());
    let lives = headers::get(table, DELIVERY_COUNT).and_then(|count| count.parse().ok());
    Held {
        shared: shared.clone(),
        queue: queue.clone(),
        key,
        attempt: attempt.unwrap_or(1).max(1),
        lives: lives.unwrap_or(0),
        redelivered: taken.redelivered || headers::get(table, AGAIN).is_some(),
        properties: taken.properties,
        body: Bytes::from(taken.data),
        acker: taken.acker,
        inlet: inlet.clone(),
    }
}

/// A message that the broker waits to hear about.
pub(super) struct Held {
    shared: Arc<Shared>,
    queue: Arc<str>,
    key: String,
    attempt: u32,
    lives: u64,
    redelivered: bool,
    properties: BasicProperties,
    body: Bytes,
    acker: lapin::Acker,
    inlet: Arc<Inlet>,
}

/// Hands the message back when it is dropped.
struct Unsettled(Option<Held>);

impl Drop for Unsettled {
    fn drop(&mut self) {
        if let Some(held) = self.0.take()
            && held.acker.usable()
        {
            // When the client has gone, so has the connection, and with it the message goes back.
            let dropped = held.shared.dropped.clone();
            let _gone = dropped.send(held);
        }
    }
}

impl Settle for Unsettled {
    fn settle(self: Box<Self>, verdict: Verdict) -> BoxFuture<'static, Result<(), Lost>> {
        Box::pin(async move {
            let Some(held) = &self.0 else {
                return Ok(());
            };
            let settled = held.settle(&verdict).await;
            if settled.is_ok() {
                // It was told of; nothing is left to hand back.
                let mut this = self;
                drop(this.0.take());
            }
            settled.map_err(Lost)
        })
    }
}

impl Held {
    /// As this client gives it out.
    pub fn into_delivery(mut self) -> Delivery {
        let message = properties::read(&self.properties, self.body.clone());
        let given = &self.shared.given;
        self.redelivered |= given.again(&self.queue, self.attempt, &message);
        Delivery {
            message,
            attempt: self.attempt,
            redelivered: self.redelivered,
            key: Some(self.key.clone()),
            settle: Box::new(Unsettled(Some(self))),
        }
    }

    async fn settle(&self, verdict: &Verdict) -> Result<(), String> {
        match verdict {
            Verdict::Done => self.acknowledge().await,
            Verdict::Retry { step: place } => {
                let attempt = self.attempt.saturating_add(1).to_string();
                self.copy("", &step(&self.queue, *place), &[(ATTEMPT, attempt)])
                    .await?;
                self.acknowledge().await
            }
            Verdict::DeadLetter { reason } if self.shared.keeps_dead_letters(&self.queue) => {
                let more = [
                    (ATTEMPT, self.attempt.to_string()),
                    (REASON, reason.clone()),
                    (
                        SINCE,
                        humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                    ),
                ];
                self.copy(&letters_exchange(&self.queue), &self.key, &more)
                    .await?;
                self.acknowledge().await
            }
            // Somebody else has declared the queue, and may keep what is rejected.
            Verdict::DeadLetter { .. } => {
                let rejected = self.acker.reject(BasicRejectOptions { requeue: false });
                self.told(answer(rejected).await?)
            }
            Verdict::Return => self.hand_back().await,
            // At the end of its queue, as it would be lost otherwise.
            Verdict::Leave if self.is_worn() => self.hand_back().await,
            Verdict::Leave => {
                self.inlet.leave();
                Ok(())
            }
        }
    }

    /// Whether it was handed back so often that it has to be put anew.
    pub fn is_worn(&self) -> bool {
        self.lives >= MANY_LIVES
    }

    /// Gives the message back to its queue.
    pub async fn hand_back(&self) -> Result<(), String> {
        if self.is_worn() && self.put_anew().await.is_ok() {
            return self.acknowledge().await;
        }
        let back = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        self.told(answer(self.acker.nack(back)).await?)
    }

    async fn put_anew(&self) -> Result<(), Refusal> {
        let copy = self.copied(&[(ATTEMPT, self.attempt.to_string())]);
        let put = self.shared.publish("", &self.queue, &copy, &self.body);
        let late = || Refusal::Unknown(String::new());
        timeout(ANSWER, put).await.unwrap_or_else(|_| Err(late()))
    }

    async fn acknowledge(&self) -> Result<(), String> {
        self.told(answer(self.acker.ack(BasicAckOptions::default())).await?)
    }

    fn told(&self, was_told: bool) -> Result<(), String> {
        if was_told {
            Ok(())
        } else {
            Err("the connection over which it came has ended".to_owned())
        }
    }

    /// Publishes a copy. While the broker cannot take it, this waits for as long as the message is held; what the broker
    /// refuses is tried for [`REFUSED`].
    async fn copy(
        &self,
        exchange: &str,
        routing_key: &str,
        more: &[(&'static str, String)],
    ) -> Result<(), String> {
        let mut copy = self.copied(more);
        let deadline = Instant::now() + REFUSED;
        loop {
            let publishing = self
                .shared
                .publish(exchange, routing_key, &copy, &self.body);
            let published = timeout(COPY, publishing).await;
            let late = || Refusal::Unknown(format!("the broker did not confirm within {COPY:?}"));
            match published.unwrap_or_else(|_| Err(late())) {
                Ok(()) => return Ok(()),
                // It may be stored: then the next is another one.
                Err(Refusal::Blocked(_) | Refusal::Unknown(_)) => copy = self.another(more),
                Err(Refusal::Unavailable(_)) => {}
                Err(Refusal::Unroutable(why)) => {
                    self.shared.missing.notify_one();
                    self.refused(deadline, why)?;
                }
                // A queue that ends refuses what it may have stored.
                Err(Refusal::Rejected(why)) => {
                    copy = self.another(more);
                    self.refused(deadline, why)?;
                }
                Err(Refusal::Unfit(why) | Refusal::TooLarge(why)) => self.refused(deadline, why)?,
            }
            tokio::time::sleep(PAUSE).await;
            if !self.acker.usable() || self.shared.is_closed() {
                return self.told(false);
            }
        }
    }

    fn refused(&self, deadline: Instant, why: String) -> Result<(), String> {
        if Instant::now() < deadline {
            Ok(())
        } else {
            Err(why)
        }
    }

    /// A copy that may not be the only one.
    fn another(&self, more: &[(&'static str, String)]) -> BasicProperties {
        self.copied(&[more, &[(AGAIN, YES.to_owned())]].concat())
    }

    fn copied(&self, more: &[(&'static str, String)]) -> BasicProperties {
        let mut headers = vec![(KEY, self.key.clone())];
        if self.redelivered {
            // Whoever had it before may have put it there as well.
            headers.push((AGAIN, YES.to_owned()));
        }
        headers.extend_from_slice(more);
        properties::copied(&self.properties, &headers)
    }
}
