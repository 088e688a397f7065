//! How far an attempt is, from the pick of its endpoint to the end of its answer.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::meaning::Reached;
use crate::http::trail::Times;

/// How far an attempt is. Those know it of whom it wants a connection.
#[derive(Debug, Default)]
pub struct Stage {
    step: AtomicU8,
    /// Nanoseconds from its beginning until a connection had the request.
    asked: AtomicU64,
    /// Microseconds from its beginning; 0 where it did not happen.
    connects: AtomicU32,
    secures: AtomicU32,
    /// Nanoseconds from its beginning; 0 where it did not happen.
    ended: AtomicU64,
}

/// 0: it has nothing to wait for yet.
const WAITS_FOR_CONNECTION: u8 = 1;
const WAITS_FOR_STREAM: u8 = 2;
const CONNECTS: u8 = 3;
const ASKS: u8 = 4;
/// Its answer has begun, and is no failure so far.
const ANSWERED: u8 = 5;
/// It came to nothing, or to a failure.
const OVER: u8 = 6;

impl Stage {
    /// It waits for a connection of our own pool that others use or make.
    pub fn waits(&self) {
        self.step.store(WAITS_FOR_CONNECTION, Ordering::Relaxed);
    }

    /// It waits until a connection of our own pool takes another stream.
    pub fn waits_for_stream(&self) {
        self.step.store(WAITS_FOR_STREAM, Ordering::Relaxed);
    }

    /// A connection is made for it from now on, so long after it began.
    pub fn connects(&self, after: Duration) {
        self.connects.store(micros(after), Ordering::Relaxed);
        self.step.store(CONNECTS, Ordering::Relaxed);
    }

    /// The connection is there, and the handshake of TLS begins, so long after the attempt began.
    pub fn secures(&self, after: Duration) {
        self.secures.store(micros(after), Ordering::Relaxed);
    }

    /// The head of the answer is here, or nobody waits for it any more, so many nanoseconds after the attempt began.
    #[inline]
    pub(super) fn head_ends(&self, after: u64) {
        self.ended.store(after, Ordering::Relaxed);
    }

    /// How long it took to the head of its answer, or to its end, in microseconds.
    #[inline]
    pub fn took(&self) -> u32 {
        let micros = self.ended.load(Ordering::Relaxed) / 1_000;
        micros.min(u32::MAX.into()) as u32
    }

    /// When what happened, of an attempt that `began` then.
    pub(super) fn times(&self, began: Instant, sent: bool) -> Times {
        let read = |at: &AtomicU32| at.load(Ordering::Relaxed);
        let nanos = |at: &AtomicU64| match at.load(Ordering::Relaxed) {
            0 => 0,
            nanos => micros(Duration::from_nanos(nanos)),
        };
        Times {
            began,
            connects: read(&self.connects),
            secures: read(&self.secures),
            asked: nanos(&self.asked),
            sent,
            ended: nanos(&self.ended),
        }
    }

    /// A connection that was there at once takes the request.
    pub(super) fn asks_at_once(&self) {
        self.step.store(ASKS, Ordering::Relaxed);
    }

    /// A connection takes the request now, so long after the attempt began.
    pub(super) fn asks(&self, waited: Duration) {
        self.asked
            .store(waited.as_nanos() as u64, Ordering::Relaxed);
        self.asks_at_once();
    }

    /// How long after the attempt began a connection took the request; 0 when one was there at once.
    pub(super) fn asked(&self) -> Duration {
        Duration::from_nanos(self.asked_nanos())
    }

    /// The same in nanoseconds.
    #[inline]
    pub(super) fn asked_nanos(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Its answer begins, and is no failure so far.
    pub(super) fn answers(&self) {
        self.step.store(ANSWERED, Ordering::Relaxed);
    }

    /// It comes to nothing, or to a failure.
    pub(super) fn ends(&self) {
        self.step.store(OVER, Ordering::Relaxed);
    }

    /// Whether an answer has begun that is no failure so far.
    pub(super) fn is_answered(&self) -> bool {
        self.step() == ANSWERED
    }

    /// Whether nobody waits for the head of an answer any more.
    pub(super) fn is_judged(&self) -> bool {
        self.step() >= ANSWERED
    }

    /// Whether a connection was being made for this attempt, and not only waited for.
    pub fn has_connected(&self) -> bool {
        self.step() == CONNECTS
    }

    fn step(&self) -> u8 {
        self.step.load(Ordering::Relaxed)
    }

    pub(super) fn reached(&self) -> Reached {
        match self.step() {
            CONNECTS => Reached::Endpoint,
            ASKS => Reached::Asked,
            ANSWERED | OVER => Reached::Answer,
            _ => Reached::Queue,
        }
    }

    /// What to tell of an attempt that waited for our own pool in vain.
    pub(super) fn queued(&self) -> Option<&'static str> {
        match self.step() {
            WAITS_FOR_CONNECTION => {
                Some("no connection of the pool to the upstream became free in time")
            }
            WAITS_FOR_STREAM => {
                Some("no connection of the pool to the upstream took another stream in time")
            }
            _ => None,
        }
    }
}

/// At least 1, and at most an hour and more.
#[inline]
fn micros(length: Duration) -> u32 {
    let micros = length.as_secs() * 1_000_000 + u64::from(length.subsec_micros());
    u32::try_from(micros).unwrap_or(u32::MAX).max(1)
}
