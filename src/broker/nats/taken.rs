//! A message that was taken from a stream, and the room that it takes.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::Subject;
use tokio::sync::Notify;

use super::headers::{self, Notes};
use super::unsettled::{Hold, Unsettled};
use crate::broker::Message;

/// How many messages may be taken from one stream.
pub(super) struct Room {
    most: usize,
    taken: AtomicUsize,
    freed: Notify,
}

/// The place of one message. Dropped, it is free.
struct Seat(Arc<Room>);

impl Room {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Room {
            most,
            taken: AtomicUsize::new(0),
            freed: Notify::new(),
        })
    }

    pub fn most(&self) -> usize {
        self.most
    }

    pub fn free(&self) -> usize {
        self.most.saturating_sub(self.taken.load(Ordering::Acquire))
    }

    /// Waits until a place became free.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    fn take(self: &Arc<Self>) -> Seat {
        self.taken.fetch_add(1, Ordering::AcqRel);
        Seat(self.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// A message that was taken. Dropped, it goes back.
pub(super) struct Taken {
    pub message: Message,
    pub notes: Notes,
    /// Where it was found: where it was published, or what a copy of it is called.
    pub subject: String,
    pub delivery: Metadata,
    pub hold: Hold,
    seat: Option<Seat>,
}

/// What was given out and goes back when its consumer closes, in this order.
#[derive(Default)]
pub(super) struct Left(Mutex<Vec<Taken>>);

impl Left {
    pub fn add(&self, taken: Taken) {
        self.all().push(taken);
    }

    pub fn take(&self) -> Vec<Taken> {
        mem::take(&mut *self.all())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Taken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server says of a delivery, by the subject at which it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// How often it was given out, this time included.
    pub delivered: u64,
    /// Its number in the stream.
    pub sequence: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub stored: u64,
}

impl Metadata {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`, or the same with a domain and
    /// the hash of an account in front of the stream, and more behind.
    pub fn parse(ack: &str) -> Option<Self> {
        let tokens: Vec<&str> = ack.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match tokens.len() {
            7 => &tokens[2..],
            9.. => &tokens[4..],
            _ => return None,
        };
        Some(Metadata {
            delivered: numbers[0].parse().ok()?,
            sequence: numbers[1].parse().ok()?,
            stored: numbers[3].parse().ok()?,
        })
    }
}

impl Taken {
    /// None for what no stream has sent.
    pub fn new(
        received: async_nats::Message,
        stream: &str,
        unsettled: &Arc<Unsettled>,
        progress: Duration,
        room: &Arc<Room>,
    ) -> Option<Self> {
        let ack: Subject = received.reply?;
        let delivery = Metadata::parse(&ack)?;
        let headers = headers::pairs(received.headers.as_ref());
        let unnamed = || format!("{stream}:{}", delivery.sequence);
        let (message, notes) = headers::read(headers, received.payload, unnamed);
        Some(Taken {
            message,
            notes,
            subject: received.subject.to_string(),
            delivery,
            hold: unsettled.hold(ack, progress),
            seat: Some(room.take()),
        })
    }

    /// Another may be taken in its place.
    pub fn make_room(&mut self) {
        self.seat = None;
    }

    /// How long a copy has still to wait, if it has: never longer than it was to wait when it was stored, whatever has
    /// become of this machine's clock.
    pub fn wait(&self) -> Option<Duration> {
        let not_before = self.notes.not_before?;
        let stored = UNIX_EPOCH + Duration::from_nanos(self.delivery.stored);
        let whole = not_before.duration_since(stored).ok()?;
        let left = not_before.duration_since(SystemTime::now()).ok()?;
        Some(left.min(whole)).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_an_ack_tells_what_was_delivered() {
        let wanted = Some(Metadata {
            delivered: 2,
            sequence: 30,
            stored: 5000,
        });
        for ack in [
            "$JS.ACK.orders.outrigger.2.30.4.5000.6",
            "$JS.ACK._.hash.orders.outrigger.2.30.4.5000.6",
            "$JS.ACK.hub.hash.orders.outrigger.2.30.4.5000.6.random",
        ] {
            assert_eq!(Metadata::parse(ack), wanted, "{ack}");
        }
        for ack in [
            "",
            "$JS.ACK.a.b",
            "$JS.ACK.orders.outrigger.x.30.4.5000.6",
            "reply",
        ] {
            assert_eq!(Metadata::parse(ack), None, "{ack}");
        }
    }
}
