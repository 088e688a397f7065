//! The way of most messages out: many under way on one channel, which the broker confirms many at a time.
//!
//! lapin hands a message that came back to whichever of several is confirmed first when the broker confirms them at once.
//! So whoever is confirmed is not told before all that were confirmed with it are known, and each that came back is told by
//! what it is.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::failure::{answer, words};

/// The most messages under way.
const MOST: u16 = 512;

/// A message is returned when it leads to no queue.
pub(super) const MANDATORY: BasicPublishOptions = BasicPublishOptions {
    mandatory: true,
    immediate: false,
};

/// A message on its way out.
#[derive(Clone)]
pub(super) struct Parcel {
    pub exchange: ShortString,
    pub routing_key: ShortString,
    pub properties: BasicProperties,
    pub body: Bytes,
}

/// What the broker said of a message.
pub(super) enum Said {
    Stored,
    /// It leads to no queue.
    Returned,
    /// A queue did not take it.
    Refused,
    /// The channel has ended: whether for this message or another, and whether this one was stored, is not known.
    Ended(String),
    /// It was not sent.
    Kept(String),
}

/// Ends with the link it belongs to.
pub(super) struct Lane {
    parcels: mpsc::UnboundedSender<Given>,
    places: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Lane {
    pub fn new(connection: &Arc<Connection>, runtime: &Handle) -> Self {
        let (parcels, given) = mpsc::unbounded_channel();
        Lane {
            parcels,
            places: Arc::new(Semaphore::new(usize::from(MOST))),
            task: runtime.spawn(drive(connection.clone(), given)),
        }
    }

    pub async fn send(&self, parcel: Parcel) -> Said {
        let (tell, told) = oneshot::channel();
        if let Ok(place) = self.places.clone().acquire_owned().await
            && let given = (
                parcel,
                Teller {
                    tell,
                    _place: place,
                },
            )
            && self.parcels.send(given).is_ok()
            && let Ok(said) = told.await
        {
            return said;
        }
        Said::Ended("the connection has ended".to_owned())
    }

    /// Completes when nothing is under way.
    pub async fn rest(&self) {
        let _all = self.places.acquire_many(u32::from(MOST)).await;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Given = (Parcel, Teller);

/// By which whoever waits for a message is told of it. It holds a place on the lane.
struct Teller {
    tell: oneshot::Sender<Said>,
    _place: OwnedSemaphorePermit,
}

impl Teller {
    fn tell(self, said: Said) {
        // Whoever does not listen any more has given up.
        let _gone = self.tell.send(said);
    }
}

/// A message under way that has come to its end.
struct Ended {
    parcel: Parcel,
    teller: Teller,
    confirmed: lapin::Result<Confirmation>,
}

async fn drive(connection: Arc<Connection>, mut given: mpsc::UnboundedReceiver<Given>) {
    let mut channel = None;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            given = given.recv() => {
                let Some((parcel, teller)) = given else {
                    return;
                };
                match open(&connection, &mut channel).await {
                    Ok(channel) => under_way.push(publish(channel, parcel, teller)),
                    Err(why) => teller.tell(Said::Kept(why)),
                }
            }
            Some(first) = under_way.next() => {
                let mut ended = vec![first];
                let mut pauses = 0;
                poll_fn(|cx| {
                    // The first pause may be one that only lets others have their turn.
                    while pauses < 2 {
                        match under_way.poll_next_unpin(cx) {
                            Poll::Ready(Some(next)) => ended.push(next),
                            Poll::Ready(None) => break,
                            Poll::Pending => pauses += 1,
                        }
                    }
                    Poll::Ready(())
                })
                .await;
                tell(ended);
            }
        }
    }
}

async fn open(connection: &Connection, channel: &mut Option<Channel>) -> Result<Channel, String> {
    if let Some(open) = channel
        && open.status().connected()
    {
        return Ok(open.clone());
    }
    let opened = confirming(connection).await?;
    *channel = Some(opened.clone());
    Ok(opened)
}

/// A new channel on which the broker confirms.
pub(super) async fn confirming(connection: &Connection) -> Result<Channel, String> {
    let channel = answer(connection.create_channel()).await?;
    answer(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

async fn publish(channel: Channel, parcel: Parcel, teller: Teller) -> Ended {
    let Parcel {
        exchange,
        routing_key,
        properties,
        body,
    } = parcel.clone();
    let sent = channel
        .basic_publish(exchange, routing_key, MANDATORY, &body, properties)
        .await;
    let confirmed = match sent {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Ended {
        parcel,
        teller,
        confirmed,
    }
}

/// Tells everyone what became of their message, when all that were confirmed together are known.
fn tell(ended: Vec<Ended>) {
    let mut returned = Vec::new();
    let mut known = Vec::new();
    for Ended {
        parcel,
        teller,
        confirmed,
    } in ended
    {
        let said = match confirmed {
            Ok(Confirmation::Ack(back)) => {
                returned.extend(back);
                Said::Stored
            }
            Ok(Confirmation::Nack(back)) => {
                returned.extend(back);
                Said::Refused
            }
            Ok(Confirmation::NotRequested) => {
                Said::Ended("the broker was not asked to confirm".to_owned())
            }
            Err(error) => Said::Ended(words(&error)),
        };
        known.push((parcel, teller, said));
    }
    for back in &returned {
        let whose = known.iter_mut().find(|(parcel, _, said)| {
            matches!(said, Said::Stored | Said::Refused) && is_of(back, parcel)
        });
        if let Some((_, _, said)) = whose {
            *said = Said::Returned;
        }
    }
    for (_, teller, said) in known {
        teller.tell(said);
    }
}

/// Two that are alike in this have the same fate.
fn is_of(back: &BasicReturnMessage, parcel: &Parcel) -> bool {
    back.exchange == parcel.exchange
        && back.routing_key == parcel.routing_key
        && back.properties.message_id() == parcel.properties.message_id()
}
