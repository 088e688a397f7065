//! Publishing: a message is stored when the broker has confirmed it, and the reason is known when it has not.
//!
//! What the broker does not like of a message, as an exchange that does not exist, closes the channel, and with it go the
//! confirms of all others on it. So only what goes to an exchange that has taken a message before shares a channel with
//! others, in the [`lane`](super::lane); the rest has one of its own meanwhile. When the lane's channel ends nevertheless,
//! each message that was under way there is sent again, alone and under the same id.

use std::sync::PoisonError;
use std::time::Duration;

use lapin::{Channel, Confirmation};
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::timeout;

use super::super::Refusal;
use super::failure::refusal;
use super::lane::{MANDATORY, Parcel, Said, confirming};
use super::link::Link;
use super::properties;

/// How long a message that was sent when an alarm began, or when the connection ended, may still be answered.
const GRACE: Duration = Duration::from_millis(500);
/// What a frame has besides properties.
const FRAME_OVERHEAD: usize = 64;
/// The most bytes of a body that shares a channel with others: they would wait behind it, and the broker may find it too
/// large.
const MOST_SHARED: usize = 1 << 20;

impl Link {
    /// Publishes, and completes when the broker has stored it or said why not, when it blocks, or when the connection is
    /// lost.
    pub async fn publish(&self, parcel: Parcel) -> Result<(), Refusal> {
        if properties::size(&parcel.properties) + FRAME_OVERHEAD > self.frame_max() as usize {
            return Err(Refusal::Unfit(
                "the headers are larger than the broker takes".to_owned(),
            ));
        }
        let mut blocked = self.blocked.subscribe();
        if let Some(why) = &*blocked.borrow_and_update() {
            return Err(Refusal::Blocked(format!(
                "the broker takes no messages now: {why}"
            )));
        }
        let mut sending = std::pin::pin!(self.send(parcel));
        let (late, otherwise) = tokio::select! {
            biased;
            said = &mut sending => return said,
            () = self.publishing.end.reached() => (
                timeout(GRACE, sending).await,
                Refusal::Unknown("the connection was lost before the broker confirmed".to_owned()),
            ),
            why = began(&mut blocked) => (
                timeout(GRACE, sending).await,
                Refusal::Blocked(format!(
                    "the broker takes no messages now: {why}; this one may be stored when that ends"
                )),
            ),
        };
        late.unwrap_or(Err(otherwise))
    }

    async fn send(&self, parcel: Parcel) -> Result<(), Refusal> {
        if parcel.body.len() > MOST_SHARED || !self.knows(parcel.exchange.as_str()) {
            return self.send_alone(&parcel).await;
        }
        match self.lane.send(parcel.clone()).await {
            Said::Stored => Ok(()),
            Said::Returned => Err(returned(&parcel)),
            Said::Refused => Err(refused()),
            Said::Ended(_) if self.publishing.connection.status().connected() => {
                // One of those under way ended it, and which one shows when each is alone.
                self.known().clear();
                self.send_alone(&parcel)
                    .await
                    .map_err(|refusal| match refusal {
                        // The first may have been stored.
                        Refusal::Unavailable(why) => Refusal::Unknown(why),
                        other => other,
                    })
            }
            Said::Kept(why) => Err(Refusal::Unavailable(why)),
            Said::Ended(why) => Err(Refusal::Unknown(format!("{why}, before it was confirmed"))),
        }
    }

    async fn send_alone(&self, parcel: &Parcel) -> Result<(), Refusal> {
        let lease = self.lease().await.map_err(Refusal::Unavailable)?;
        let Parcel {
            exchange,
            routing_key,
            properties,
            body,
        } = parcel.clone();
        let failed = |error| refusal(&error, parcel.exchange.as_str());
        let sent = lease
            .channel
            .basic_publish(exchange, routing_key, MANDATORY, &body, properties);
        let confirmation = sent.await.map_err(failed)?.await.map_err(failed)?;
        lease.give_back();
        self.known().insert(parcel.exchange.to_string());
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(returned(parcel)),
            Confirmation::Nack(None) => Err(refused()),
            Confirmation::NotRequested => Err(Refusal::Unknown(
                "the broker was not asked to confirm".to_owned(),
            )),
        }
    }

    /// Whether an exchange has taken a message before. The one without a name always does.
    fn knows(&self, exchange: &str) -> bool {
        exchange.is_empty() || self.known().contains(exchange)
    }

    /// A channel for one message.
    async fn lease(&self) -> Result<Lease<'_>, String> {
        let slot = self.slots.acquire().await;
        let slot = slot.map_err(|_| "the connection has ended".to_owned())?;
        let channel = loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match idle {
                Some(channel) if channel.status().connected() => break channel,
                Some(_) => {}
                None => break confirming(&self.publishing.connection).await?,
            }
        };
        Ok(Lease {
            channel,
            link: self,
            _slot: slot,
        })
    }
}

fn returned(parcel: &Parcel) -> Refusal {
    let (exchange, routing_key) = (&parcel.exchange, &parcel.routing_key);
    Refusal::Unroutable(if exchange.as_str().is_empty() {
        format!("there is no queue `{routing_key}`")
    } else {
        format!("the exchange `{exchange}` leads `{routing_key}` to no queue")
    })
}

fn refused() -> Refusal {
    Refusal::Rejected("a queue did not take it: it may be full".to_owned())
}

/// Why the broker began to block.
async fn began(blocked: &mut watch::Receiver<Option<String>>) -> String {
    loop {
        if blocked.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(why) = &*blocked.borrow_and_update() {
            return why.clone();
        }
    }
}

/// A channel with one message under way. It is not used again unless it is given back: what comes of a message that
/// nobody waits for any more would be taken for what comes of the next.
struct Lease<'a> {
    channel: Channel,
    link: &'a Link,
    _slot: SemaphorePermit<'a>,
}

impl Lease<'_> {
    fn give_back(self) {
        let mut idle = self
            .link
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        idle.push(self.channel);
    }
}
