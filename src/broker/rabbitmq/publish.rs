//! Publishing: a message is stored when the broker has confirmed it, and the reason is known when it has not.
//!
//! What the broker does not like of a message, as an exchange that does not exist, closes the channel, and with it go the
//! confirms of all others on it. So only what goes to an exchange that has taken a message before ([`trust`](super::trust))
//! shares a channel with others, in the [`lane`](super::lane): the broker confirms many there at a time. The rest has one of
//! its own meanwhile, which waits for the next one afterwards.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Confirmation};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::super::Refusal;
use super::book::{Parcel, Said};
use super::failure::{answer, refusal};
use super::lane::{Lane, MANDATORY};
use super::link::Link;
use super::properties;

/// How long a message that was sent when an alarm began, or when the connection ended, may still be answered.
const GRACE: Duration = Duration::from_millis(500);
/// What a frame has besides properties.
const FRAME_OVERHEAD: usize = 64;
/// The most bytes of a body that shares a channel with others: they would wait behind it, and the broker may find it too
/// large.
const MOST_OF_BODY: usize = 1 << 20;

const ENDED: &str = "the connection has ended";

impl Link {
    /// Publishes, and completes when the broker has stored it or said why not, when it blocks, or when the connection is
    /// lost.
    pub async fn publish(&self, parcel: Parcel) -> Result<(), Refusal> {
        if properties::size(&parcel.properties) + FRAME_OVERHEAD > self.frame_max() as usize {
            return Err(Refusal::TooLarge(
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
        let exchange = parcel.exchange.clone();
        if parcel.body.len() > MOST_OF_BODY || !self.trust.has(exchange.as_str()) {
            return self.send_alone(parcel).await;
        }
        let routing_key = parcel.routing_key.clone();
        let place = self.places.acquire().await;
        let _place = place.map_err(|_| Refusal::Unavailable(ENDED.to_owned()))?;
        let lane = self.lane().await.map_err(Refusal::Unavailable)?;
        match lane.send(parcel).await {
            Said::Stored => Ok(()),
            Said::Returned => Err(returned(exchange.as_str(), routing_key.as_str())),
            Said::Refused => Err(refused()),
            Said::Ended(why) => {
                self.trust.lose(exchange.as_str());
                Err(Refusal::Unknown(format!("{why} before it confirmed")))
            }
        }
    }

    /// On a channel on which nothing else is under way.
    async fn send_alone(&self, parcel: Parcel) -> Result<(), Refusal> {
        let lease = self.lease().await.map_err(Refusal::Unavailable)?;
        let (to, key) = (parcel.exchange.clone(), parcel.routing_key.clone());
        let properties = parcel.properties;
        let sent = lease
            .channel
            .basic_publish(to, key, MANDATORY, &parcel.body, properties);
        let exchange = parcel.exchange.as_str();
        let failed = |error| refusal(&error, exchange);
        let confirmation = sent.await.map_err(failed)?.await.map_err(failed)?;
        lease.give_back();
        self.trust.gain(exchange);
        match confirmation {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(returned(exchange, parcel.routing_key.as_str()))
            }
            Confirmation::Nack(None) => Err(refused()),
            Confirmation::NotRequested => Err(Refusal::Unknown(
                "the broker was not asked to confirm".to_owned(),
            )),
        }
    }

    /// The channel that many share.
    async fn lane(&self) -> Result<Arc<Lane>, String> {
        if let Some(lane) = self.open_lane() {
            return Ok(lane);
        }
        let maker = self.maker.acquire().await;
        let _maker = maker.map_err(|_| ENDED.to_owned())?;
        if let Some(lane) = self.open_lane() {
            return Ok(lane);
        }
        let lane = Arc::new(Lane::new(self.confirming().await?));
        let mut shared = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = Some(lane.clone());
        Ok(lane)
    }

    fn open_lane(&self) -> Option<Arc<Lane>> {
        let lane = self.lane.lock().unwrap_or_else(PoisonError::into_inner);
        lane.as_ref().filter(|lane| lane.is_open()).cloned()
    }

    /// A channel for one message.
    async fn lease(&self) -> Result<Lease<'_>, String> {
        let slot = self.slots.acquire().await;
        let slot = slot.map_err(|_| ENDED.to_owned())?;
        let channel = loop {
            let idle = self
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            match idle {
                Some(channel) if channel.status().connected() => break channel,
                Some(_) => {}
                None => break self.confirming().await?,
            }
        };
        Ok(Lease {
            channel,
            link: self,
            _slot: slot,
        })
    }

    /// A new channel on which the broker confirms.
    async fn confirming(&self) -> Result<Channel, String> {
        let channel = answer(self.publishing.connection.create_channel()).await?;
        answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(channel)
    }
}

fn returned(exchange: &str, routing_key: &str) -> Refusal {
    Refusal::Unroutable(if exchange.is_empty() {
        format!("there is no queue `{routing_key}`")
    } else {
        format!("the exchange `{exchange}` leads `{routing_key}` to no queue")
    })
}

fn refused() -> Refusal {
    Refusal::Rejected("a queue did not take it: it may be full".to_owned())
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
