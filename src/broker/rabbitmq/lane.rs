//! Many messages under way on one channel, and what became of each.
//!
//! The broker returns a message that leads nowhere before it confirms it, and lapin hands it out with whichever message it
//! takes for confirmed next: it keeps what was returned in a queue, and each confirm takes one of there. Two things follow.
//! A confirm that brought none shows that the queue was empty then: if its own message was returned, that came with a
//! confirm before it. And one that brought a stranger's shows nothing, until a later one brings none, or none is left.
//!
//! So whoever is confirmed looks at all the others before it believes that, in the [`Book`].

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};

use super::book::{Book, Confirm, Parcel, Said};
use super::failure::words;

/// A message is returned when it leads to no queue.
pub(super) const MANDATORY: BasicPublishOptions = BasicPublishOptions {
    mandatory: true,
    immediate: false,
};
/// When one that is in doubt is looked at again.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) struct Lane {
    channel: Channel,
    book: Mutex<Book>,
    /// Somebody did not wait for what becomes of a message, or cannot be told.
    is_left: AtomicBool,
}

impl Lane {
    pub fn new(channel: Channel) -> Self {
        Lane {
            channel,
            book: Mutex::default(),
            is_left: AtomicBool::new(false),
        }
    }

    /// Whether more may be sent here. What nobody waits for takes memory until the lane ends.
    pub fn is_open(&self) -> bool {
        self.channel.status().connected() && !self.is_left.load(Ordering::Relaxed)
    }

    pub async fn send(&self, parcel: Parcel) -> Said {
        let sent = confirmed(self.channel.clone(), parcel.clone());
        let place = Place {
            lane: self,
            number: self.book().add(parcel, Box::pin(sent)),
        };
        loop {
            match poll_fn(|cx| self.book().look(place.number, cx)).await {
                Some(said) => {
                    if matches!(said, Said::Ended(_)) {
                        self.is_left.store(true, Ordering::Relaxed);
                    }
                    return said;
                }
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for what becomes of a message.
struct Place<'a> {
    lane: &'a Lane,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.lane.book().leave(self.number) {
            self.lane.is_left.store(true, Ordering::Relaxed);
        }
    }
}

/// Publishes, and completes when lapin knows what the broker said.
async fn confirmed(channel: Channel, parcel: Parcel) -> Confirm {
    let Parcel {
        exchange,
        routing_key,
        properties,
        body,
    } = parcel;
    let sent = channel.basic_publish(exchange, routing_key, MANDATORY, &body, properties);
    let confirmed = async { sent.await?.await };
    let (said, message) = match confirmed.await {
        Ok(Confirmation::Ack(message)) => (Said::Stored, message),
        Ok(Confirmation::Nack(message)) => (Said::Refused, message),
        Ok(Confirmation::NotRequested) => {
            let why = "the broker was not asked to confirm".to_owned();
            (Said::Ended(why), None)
        }
        Err(error) => (Said::Ended(words(&error)), None),
    };
    let brought = message.map(|message| Parcel {
        exchange: message.delivery.exchange,
        routing_key: message.delivery.routing_key,
        properties: message.delivery.properties,
        body: message.delivery.data.into(),
    });
    Confirm { said, brought }
}
