//! One request on its way: what those who take part in answering it tell each other.
//!
//! It is lent to everybody for as long as a head is waited for, and lives with whoever waits. Whoever cuts an attempt
//! short says why beforehand; what is dropped then says where it had got to.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::http::error::{Error, OVERLOADED};
use crate::http::message::{Request, ServedBy, Tried, Upload};
use crate::http::trail::{Steps, Trail};

/// Why something is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody waits for it any more.
    Unwanted,
    /// Its time is over: whoever was to answer took too long.
    Overdue,
    /// Its time is over, and was so short that this says nothing about whoever was to answer.
    Hurried,
}

/// Where a request had got to.
#[derive(Debug)]
pub struct Place {
    pub by: ServedBy,
    /// It was not sent yet, as it waited for a place in a pool of ours: what to tell of that.
    pub queued: Option<&'static str>,
}

/// What is known of a request's way.
#[derive(Debug, Default)]
pub struct LastSeen {
    /// Where it was when it was dropped; of several attempts that are dropped together, the first that was sent.
    place: Mutex<Option<Place>>,
    trail: Trail,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// When the exchange must be over, its body included.
    pub deadline: Option<Instant>,
    /// It is the caller that waits no longer than `deadline`, and not the route: when it passes, that says nothing
    /// about the upstream.
    pub hurried: bool,
    /// When the head of the answer must be here, where that is certain beforehand.
    pub head_by: Option<Instant>,
}

static UNLIMITED: Limits = Limits {
    deadline: None,
    hurried: false,
    head_by: None,
};

/// Where a request comes back to when it fails, for whoever may send it again.
pub struct Back<'a> {
    tried: &'a Tried,
    request: Mutex<Option<Box<Request>>>,
}

impl<'a> Back<'a> {
    /// `tried` is where the request has been, over all attempts.
    #[inline]
    pub fn new(tried: &'a Tried) -> Self {
        Back {
            tried,
            request: Mutex::new(None),
        }
    }

    /// The request, if it came back.
    pub fn request(&self) -> MutexGuard<'_, Option<Box<Request>>> {
        lock(&self.request)
    }

    #[inline]
    pub fn into_request(self) -> Option<Box<Request>> {
        let request = self.request.into_inner();
        request.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a request while its answer is waited for. Each attempt that may be cut short by itself has its own.
pub struct Exchange<'a> {
    above: Option<&'a Exchange<'a>>,
    last_seen: &'a LastSeen,
    limits: &'a Limits,
    upload: Option<&'a Upload>,
    back: Option<&'a Back<'a>>,
    /// As a [`Why`].
    why: AtomicU8,
    /// What was dropped had not been sent.
    queued: AtomicBool,
}

impl<'a> Exchange<'a> {
    #[inline]
    pub fn new(last_seen: &'a LastSeen) -> Self {
        Exchange {
            above: None,
            last_seen,
            limits: &UNLIMITED,
            upload: None,
            back: None,
            why: AtomicU8::new(Why::Unwanted as u8),
            queued: AtomicBool::new(false),
        }
    }

    /// What is within limits of time. `upload` is how far the request's body has got, when that comes in pieces.
    #[inline]
    pub fn limited(&'a self, limits: &'a Limits, upload: Option<&'a Upload>) -> Self {
        Exchange {
            limits,
            upload,
            ..self.inner()
        }
    }

    /// One attempt of several, which comes `back` when it fails.
    #[inline]
    pub fn attempt(&'a self, back: &'a Back<'a>) -> Self {
        Exchange {
            back: Some(back),
            ..self.inner()
        }
    }

    #[inline]
    fn inner(&'a self) -> Self {
        Exchange {
            above: Some(self),
            limits: self.limits,
            upload: self.upload,
            back: self.back,
            ..Exchange::new(self.last_seen)
        }
    }

    /// Where those note who have to do with the request.
    #[inline]
    pub fn trail(&self) -> &'a Trail {
        &self.last_seen.trail
    }

    /// What happened on its way; None where all went well at once.
    #[inline]
    pub fn take_steps(&self) -> Option<Box<Steps>> {
        self.last_seen.trail.take()
    }

    #[inline]
    pub fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// How far the request's body has got; None when all of it was here from the start.
    #[inline]
    pub fn upload(&self) -> Option<&'a Upload> {
        self.upload
    }

    /// Where the request comes back to when it fails, if anybody may send it again.
    #[inline]
    pub fn back(&self) -> Option<&'a Back<'a>> {
        self.back
    }

    /// Where the request has been, if it may go elsewhere after a failure.
    #[inline]
    pub fn tried(&self) -> Option<&'a Tried> {
        Some(self.back?.tried)
    }

    /// Gives a request that failed to whoever may send it again.
    pub fn give_back(&self, request: Box<Request>) {
        if let Some(back) = self.back {
            *back.request() = Some(request);
        }
    }

    /// Drops `late`, which answers this. Gives back where that had got to.
    pub fn cut<T>(&self, late: T, why: Why) -> Option<Place> {
        self.why.store(why as u8, Ordering::Relaxed);
        // What was dropped earlier is of no interest.
        *lock(&self.last_seen.place) = None;
        drop(late);
        lock(&self.last_seen.place).take()
    }

    /// Drops what is too late, and gives back `error` with where the request had got to. One that still waited for a
    /// place in a pool of ours is `overloaded`: nobody else is to blame for that.
    pub fn cut_late<T>(&self, late: T, why: Why, error: Error) -> Error {
        match self.cut(late, why) {
            None => error,
            Some(Place {
                by,
                queued: Some(detail),
            }) if why == Why::Overdue => Error::new(OVERLOADED, detail).reached(by),
            Some(place) => error.reached(place.by),
        }
    }

    /// Why whatever asks is being dropped.
    pub fn why(&self) -> Why {
        match (self.why.load(Ordering::Relaxed), self.above) {
            (why, _) if why == Why::Overdue as u8 => Why::Overdue,
            (why, _) if why == Why::Hurried as u8 => Why::Hurried,
            (_, Some(above)) => above.why(),
            (_, None) => Why::Unwanted,
        }
    }

    /// Whether whatever asks is being dropped because somebody took too long to answer. Not if the request said that
    /// it had not been sent.
    pub fn is_overdue(&self) -> bool {
        self.why() == Why::Overdue && !self.queued.load(Ordering::Relaxed)
    }

    /// To be called when a request is dropped.
    pub fn was_at(&self, place: Place) {
        self.queued.store(place.queued.is_some(), Ordering::Relaxed);
        let mut seen = lock(&self.last_seen.place);
        let better = |old: &Place| old.queued.is_some() && place.queued.is_none();
        if seen.as_ref().is_none_or(better) {
            *seen = Some(place);
        }
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::UPSTREAM_TIMEOUT;

    /// Tells, when it is dropped, where it was.
    struct Tells<'a>(&'a Exchange<'a>, &'static str, Option<&'static str>);

    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.was_at(Place {
                by: ServedBy {
                    upstream: "app".into(),
                    endpoint: Some(self.1.into()),
                    attempts: 1,
                    took: 0,
                },
                queued: self.2,
            });
        }
    }

    #[test]
    fn an_attempt_is_late_with_the_whole_or_by_itself() {
        let last_seen = LastSeen::default();
        let whole = Exchange::new(&last_seen);
        let tried = Tried::default();
        let back = Back::new(&tried);
        let (first, second) = (whole.attempt(&back), whole.attempt(&back));
        first.cut((), Why::Overdue);
        assert!(first.is_overdue() && !second.is_overdue());
        whole.cut((), Why::Hurried);
        let why = [first.why(), second.why(), whole.why()];
        assert_eq!(why, [Why::Overdue, Why::Hurried, Why::Hurried]);
    }

    #[test]
    fn nobody_is_blamed_for_what_was_never_sent() {
        let last_seen = LastSeen::default();
        for (why, reason) in [(Why::Overdue, OVERLOADED), (Why::Hurried, UPSTREAM_TIMEOUT)] {
            let exchange = Exchange::new(&last_seen);
            let queued = Tells(&exchange, "a", Some("full"));
            let error = exchange.cut_late(queued, why, Error::new(UPSTREAM_TIMEOUT, "late"));
            assert_eq!(error.reason(), reason);
            assert!(error.served_by().is_some());
            assert!(!exchange.is_overdue());
        }
    }

    #[test]
    fn whoever_cuts_learns_where_it_was() {
        let last_seen = LastSeen::default();
        let exchange = Exchange::new(&last_seen);
        let tells = |name, queued| Tells(&exchange, name, queued);
        let place = exchange.cut((tells("a", Some("full")), tells("b", None)), Why::Overdue);
        assert_eq!(place.unwrap().by.endpoint.as_deref(), Some("b"));
        let place = exchange.cut((tells("a", None), tells("b", None)), Why::Overdue);
        assert_eq!(place.unwrap().by.endpoint.as_deref(), Some("a"));
        drop(tells("a", None));
        assert!(exchange.cut((), Why::Unwanted).is_none());
    }
}
