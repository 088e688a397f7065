//! How many retries a route may afford, so that they never multiply what an upstream in trouble has to bear.
//!
//! A bucket of retries, as in Finagle's `RetryBudget`: each request pays a share of one in, each retry takes one
//! out. It takes it before it begins to wait for its turn, so retries in backoff count. A quiet route could never
//! retry by that alone, so a few are always there, and come back with time.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tokio::time::Instant;

/// A retry, in the unit of the bucket.
const ONE: i64 = 1000;
/// Retries that a route has to begin with, and that time alone gives back.
const RESERVE: i64 = 20 * ONE;
/// Given back in a millisecond: two retries a second.
const PER_MILLI: i64 = 2;
/// More is not saved up, however long all goes well.
const MOST: i64 = 100 * ONE;

/// The retries that are left of a route, shared by all workers.
#[derive(Debug)]
pub struct Budget {
    left: AtomicI64,
    origin: Instant,
    /// When time last gave back, in milliseconds after `origin`.
    refilled: AtomicU64,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            left: AtomicI64::new(RESERVE),
            origin: Instant::now(),
            refilled: AtomicU64::new(0),
        }
    }
}

impl Budget {
    /// A request came; it pays in `share` of a retry.
    pub fn deposit(&self, share: f64) {
        // All workers write it, so not while there is plenty.
        if self.left.load(Ordering::Relaxed) < MOST {
            let share = (share * ONE as f64) as i64;
            self.left.fetch_add(share, Ordering::Relaxed);
        }
    }

    /// Takes out one retry, if there is one.
    pub fn withdraw(&self) -> bool {
        self.refill(Instant::now());
        let less = |left: i64| (left >= ONE).then_some(left - ONE);
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Retries that are left.
    pub fn left(&self) -> f64 {
        self.left.load(Ordering::Relaxed) as f64 / ONE as f64
    }

    fn refill(&self, now: Instant) {
        let now = now.saturating_duration_since(self.origin).as_millis() as u64;
        let last = self.refilled.swap(now, Ordering::Relaxed);
        let given = (now.saturating_sub(last) as i64).saturating_mul(PER_MILLI);
        let more = |left: i64| (left < RESERVE).then_some((left + given).min(RESERVE));
        let _ = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn withdrawn(budget: &Budget) -> usize {
        (0..1000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_pay_for_retries() {
        let budget = Budget::default();
        assert_eq!(withdrawn(&budget), 20);
        (0..100).for_each(|_| budget.deposit(0.2));
        assert_eq!(withdrawn(&budget), 20);
        (0..100_000).for_each(|_| budget.deposit(0.2));
        assert_eq!(withdrawn(&budget), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn time_gives_back_the_reserve_and_no_more() {
        let budget = Budget::default();
        assert_eq!(withdrawn(&budget), 20);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(withdrawn(&budget), 6);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(withdrawn(&budget), 20);
    }

    #[test]
    fn no_retry_is_given_twice() {
        let budget = Budget::default();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| withdrawn(&budget))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        // A busy machine may take so long that time gives one back.
        assert!((20..=22).contains(&taken), "{taken}");
    }
}
