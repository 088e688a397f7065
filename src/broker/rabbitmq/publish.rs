//! Publishing: a message is stored when the broker has confirmed it, and the reason is known when it has not.
//!
//! Every message under way has a channel of its own, which waits for the next one afterwards. So whatever closes a channel,
//! as an exchange that does not exist, takes no confirm of another message along; and a message that is returned can only
//! be the one that was sent there: on a channel with several under way, lapin hands a returned message to whichever of
//! them is confirmed first.

use std::sync::PoisonError;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::super::Refusal;
use super::failure::{answer, refusal};
use super::link::Link;
use super::names::short;
use super::properties;

/// How long a message that was sent when an alarm began, or when the connection ended, may still be answered.
const GRACE: Duration = Duration::from_millis(500);
/// What a frame has besides properties.
const FRAME_OVERHEAD: usize = 64;

const MANDATORY: BasicPublishOptions = BasicPublishOptions {
    mandatory: true,
    immediate: false,
};

/// A message on its way out.
#[derive(Clone, Copy)]
pub(super) struct Parcel<'a> {
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub properties: &'a BasicProperties,
    pub body: &'a [u8],
}

impl Link {
    /// Publishes, and completes when the broker has stored it or said why not, when it blocks, or when the connection is
    /// lost.
    pub async fn publish(&self, parcel: Parcel<'_>) -> Result<(), Refusal> {
        if properties::size(parcel.properties) + FRAME_OVERHEAD > self.frame_max() as usize {
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

    async fn send(&self, parcel: Parcel<'_>) -> Result<(), Refusal> {
        let Parcel {
            exchange,
            routing_key,
            ..
        } = parcel;
        let to = short(exchange).map_err(Refusal::Unfit)?;
        let key = short(routing_key).map_err(Refusal::Unfit)?;
        let lease = self.lease().await.map_err(Refusal::Unavailable)?;
        let sent =
            lease
                .channel
                .basic_publish(to, key, MANDATORY, parcel.body, parcel.properties.clone());
        let failed = |error| refusal(&error, exchange);
        let confirmation = sent.await.map_err(failed)?.await.map_err(failed)?;
        lease.give_back();
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(Refusal::Unroutable(if exchange.is_empty() {
                    format!("there is no queue `{routing_key}`")
                } else {
                    format!("the exchange `{exchange}` leads `{routing_key}` to no queue")
                }))
            }
            Confirmation::Nack(None) => Err(Refusal::Rejected(
                "a queue did not take it: it may be full".to_owned(),
            )),
            Confirmation::NotRequested => Err(Refusal::Unknown(
                "the broker was not asked to confirm".to_owned(),
            )),
        }
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
                None => {
                    let channel = answer(self.publishing.connection.create_channel()).await?;
                    answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
                    break channel;
                }
            }
        };
        Ok(Lease {
            channel,
            link: self,
            _slot: slot,
        })
    }
}

/// Why the broker began to block.
async fn began(blocked: &mut tokio::sync::watch::Receiver<Option<String>>) -> String {
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
