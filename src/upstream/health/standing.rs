//! How an endpoint has done lately: the facts by which it is ejected, let in again, and spared at first.
//!
//! All workers share them, and they outlive a reload; what follows from them is judged by the limits of the config
//! that asks. An endpoint with nothing against it has no mark, so that a request costs it one load.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What speaks against an endpoint, or for sparing it: a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// Its health check fails.
    Unhealthy = 1,
    /// It failed too many requests, and is out for a time.
    Ejected = 2,
    /// It has failed a request since it last answered one.
    Failing = 4,
    /// It is back from an ejection and has not answered yet.
    OnTrial = 8,
    /// It is new, or has come back: `slow_start` may apply.
    Warming = 16,
}

/// The marks that an endpoint has at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    pub fn none(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }
}

/// The facts of one endpoint.
#[derive(Debug)]
pub struct Standing {
    origin: Instant,
    marks: AtomicU8,
    /// Requests that failed since one was answered to its end.
    failures: AtomicU32,
    /// By how many times an ejection is prolonged: grows with each, shrinks with time in service.
    ejections: AtomicU32,
    /// When it was ejected last, in milliseconds after `origin`.
    ejected: AtomicU64,
    /// When it last came into service, in milliseconds after `origin`.
    since: AtomicU64,
}

impl Standing {
    pub fn new(now: Instant) -> Self {
        Standing {
            origin: now,
            marks: AtomicU8::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    pub fn marks(&self) -> Marks {
        Marks(self.marks.load(Ordering::Relaxed))
    }

    pub fn mark(&self, mark: Mark) {
        self.marks.fetch_or(mark as u8, Ordering::Relaxed);
    }

    /// Takes a mark away; says whether it was there.
    pub fn unmark(&self, mark: Mark) -> bool {
        self.marks.fetch_and(!(mark as u8), Ordering::Relaxed) & mark as u8 != 0
    }

    /// A request failed, and the endpoint is to blame.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.mark(Mark::Failing);
    }

    /// The head of an answer came that is no failure: the trial is passed.
    pub fn answered(&self) {
        if self.marks().has(Mark::OnTrial) {
            self.failures.store(0, Ordering::Relaxed);
            self.unmark(Mark::Failing);
            self.unmark(Mark::OnTrial);
        }
    }

    /// An answer that is no failure came to its end.
    pub fn completed(&self) {
        if self.marks().has(Mark::Failing) {
            self.failures.store(0, Ordering::Relaxed);
            self.unmark(Mark::Failing);
        }
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// By how many times the last ejection was prolonged; 0 when there was none.
    pub fn ejections(&self) -> u32 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// It is out from `now`, for the `times`th time in a row.
    pub fn eject(&self, now: Instant, times: u32) {
        self.ejections.store(times, Ordering::Relaxed);
        self.ejected.store(self.millis(now), Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.unmark(Mark::Failing);
        self.unmark(Mark::OnTrial);
        self.mark(Mark::Ejected);
    }

    /// Its ejection is over; says whether this call ended it.
    pub fn readmit(&self, now: Instant) -> bool {
        // On trial first, so that no other worker sees it free of both marks.
        self.mark(Mark::OnTrial);
        let ended = self.unmark(Mark::Ejected);
        if ended {
            self.enter_service(now);
        }
        ended
    }

    /// It is new, or back: the ramp of `slow_start` begins.
    pub fn enter_service(&self, now: Instant) {
        self.since.store(self.millis(now), Ordering::Relaxed);
        self.mark(Mark::Warming);
    }

    /// How long ago it was ejected.
    pub fn ejected_for(&self, now: Instant) -> Duration {
        self.elapsed(&self.ejected, now)
    }

    /// How long it has been in service.
    pub fn in_service_for(&self, now: Instant) -> Duration {
        self.elapsed(&self.since, now)
    }

    fn elapsed(&self, since: &AtomicU64, now: Instant) -> Duration {
        let since = since.load(Ordering::Relaxed);
        Duration::from_millis(self.millis(now).saturating_sub(since))
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.origin).as_millis() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_in_good_standing_has_no_mark() {
        let standing = Standing::new(Instant::now());
        standing.answered();
        standing.completed();
        assert!(standing.marks().none());
    }

    #[test]
    fn failures_count_until_an_answer_comes_to_its_end() {
        let standing = Standing::new(Instant::now());
        standing.failed();
        standing.failed();
        standing.answered();
        assert_eq!(standing.failures(), 2, "the body may still break");
        standing.completed();
        assert_eq!(standing.failures(), 0);
        assert!(standing.marks().none());
    }

    #[test]
    fn who_comes_back_is_on_trial_until_it_answers() {
        let now = Instant::now();
        let standing = Standing::new(now);
        standing.eject(now, 1);
        assert!(standing.marks().has(Mark::Ejected));
        assert!(standing.readmit(now));
        assert!(!standing.readmit(now), "it ends once");
        assert!(standing.marks().has(Mark::OnTrial));
        standing.failed();
        standing.answered();
        assert!(!standing.marks().has(Mark::OnTrial));
        assert_eq!(standing.failures(), 0);
    }
}
