//! How busy an endpoint is, and how fast it answers.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Within this time an earlier latency loses 63 % of its weight: Finagle's default.
const DECAY: Duration = Duration::from_secs(10);

/// What a request that failed counts as, at least. Without it a refused connection would look like the fastest
/// answer of all, and draw every request.
const FAILURE: Duration = Duration::from_secs(1);

/// Cost in seconds of an endpoint that has not answered yet and is being tried: dearer than any that has answered,
/// so that an unknown endpoint gets one request at a time until it is known.
const UNKNOWN: f32 = 100_000.0;

/// Facts shared by all workers, on a cache line of their own as every request writes them.
#[repr(align(64))]
pub struct Load {
    in_flight: AtomicUsize,
    latency: PeakEwma,
    /// What failures count as; apart, so that nobody takes it for something measured.
    penalty: PeakEwma,
}

impl Load {
    pub fn new(now: Instant) -> Self {
        Load {
            in_flight: AtomicUsize::new(0),
            latency: PeakEwma::new(now),
            penalty: PeakEwma::new(now),
        }
    }

    /// Requests whose answer is not over.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A request has been given to the endpoint.
    pub fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer to one is over.
    pub fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Time to the response head as it is estimated at `now`; None when nothing was measured lately.
    pub fn latency(&self, now: Instant) -> Option<Duration> {
        match self.latency.at(now) {
            0.0 => None,
            seconds => Some(Duration::from_secs_f32(seconds)),
        }
    }

    /// What the balancer reckons with instead, after failures; None where that is no more than the latency.
    pub fn penalty(&self, now: Instant) -> Option<Duration> {
        let penalty = self.penalty.at(now);
        (penalty > self.latency.at(now)).then(|| Duration::from_secs_f32(penalty))
    }

    /// An answer began after `latency`, in which neither the caller's upload nor our own pool has a part.
    pub fn answered(&self, latency: Duration, now: Instant) {
        self.latency.observe(latency, now);
    }

    /// The same for an answer that refuses the request: it may be quick, and is not to draw others for that.
    pub fn refused(&self, latency: Duration, now: Instant) {
        self.latency.hold(latency, now);
    }

    /// Nobody waited for the answer: it would have taken longer than `waited`, and that is all it says.
    pub fn given_up(&self, waited: Duration, now: Instant) {
        self.latency.lean(waited, now);
    }

    /// The endpoint failed, or took longer than the route allows.
    pub fn failed(&self, waited: Duration, now: Instant) {
        self.penalty.observe(waited.max(FAILURE), now);
    }

    /// Nothing is known of its latency any more.
    pub fn forget(&self) {
        for average in [&self.latency, &self.penalty] {
            average.packed.store(0, Ordering::Relaxed);
        }
    }

    /// What one more request would cost: latency × (requests in flight + 1), as in Finagle's
    /// `com.twitter.finagle.loadbalancer.PeakEwma`. `share` is the endpoint's weight relative to the mean: a
    /// heavier one may have more in flight.
    pub fn cost(&self, now: Instant, share: f32) -> f32 {
        let in_flight = self.in_flight() as f32 / share;
        match self.latency.at(now).max(self.penalty.at(now)) {
            0.0 if in_flight > 0.0 => UNKNOWN + in_flight,
            latency => latency * (in_flight + 1.0),
        }
    }
}

/// A moving average of latency that believes a higher value at once and a lower one slowly.
///
/// It decays towards zero with time, so that an endpoint which was slow once is tried again.
struct PeakEwma {
    origin: Instant,
    /// The high half is the average in seconds, an `f32`; the low half its time in milliseconds after `origin`.
    packed: AtomicU64,
}

impl PeakEwma {
    fn new(origin: Instant) -> Self {
        PeakEwma {
            origin,
            packed: AtomicU64::new(0),
        }
    }

    fn at(&self, now: Instant) -> f32 {
        let (average, stamp) = unpack(self.packed.load(Ordering::Relaxed));
        match average {
            0.0 => 0.0,
            average => average * remaining(stamp, self.millis(now)),
        }
    }

    fn observe(&self, latency: Duration, now: Instant) {
        self.update(latency, now, |average, left, seconds| {
            if seconds > average {
                seconds
            } else {
                average * left + seconds * (1.0 - left)
            }
        });
    }

    /// Keeps what was measured last, unless `latency` is higher.
    fn hold(&self, latency: Duration, now: Instant) {
        self.update(latency, now, |average, _, seconds| average.max(seconds));
    }

    /// Takes a part of `latency` in, but does not believe it at once: one among many changes next to nothing, while a
    /// row of nothing else becomes the average in time.
    fn lean(&self, latency: Duration, now: Instant) {
        self.update(latency, now, |average, left, seconds| match average {
            0.0 => seconds,
            average => average * left + seconds * (1.0 - left),
        });
    }

    /// `next` makes the new average out of the old one, the share of it that is left, and the seconds of `latency`.
    fn update(&self, latency: Duration, now: Instant, next: impl Fn(f32, f32, f32) -> f32) {
        let seconds = latency.as_secs_f32().max(f32::MIN_POSITIVE);
        let now = self.millis(now);
        let next = |packed| {
            let (average, stamp) = unpack(packed);
            Some(pack(next(average, remaining(stamp, now), seconds), now))
        };
        let _ = self
            .packed
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    fn millis(&self, now: Instant) -> u32 {
        // It wraps after 49 days; only differences count.
        now.saturating_duration_since(self.origin).as_millis() as u32
    }
}

/// The share of an average of time `stamp` that is left at `now`.
fn remaining(stamp: u32, now: u32) -> f32 {
    // Threads read the clock apart: a stamp may lie a little ahead.
    let elapsed = now.wrapping_sub(stamp).cast_signed().max(0);
    match elapsed {
        0 => 1.0,
        elapsed => (-(elapsed as f32) / DECAY.as_millis() as f32).exp(),
    }
}

fn pack(average: f32, stamp: u32) -> u64 {
    u64::from(average.to_bits()) << 32 | u64::from(stamp)
}

fn unpack(packed: u64) -> (f32, u32) {
    (f32::from_bits((packed >> 32) as u32), packed as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fake::{answered, endpoint};
    use crate::upstream::{Endpoint, LoadGuard};
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn millis(endpoint: &Endpoint, now: Instant) -> f32 {
        endpoint.load.latency(now).unwrap_or_default().as_secs_f32() * 1000.0
    }

    #[test]
    fn peaks_count_at_once_and_calm_returns_slowly() {
        let (endpoint, start) = (endpoint(1), Instant::now());
        answered(&endpoint, start, MS);
        answered(&endpoint, start, 100 * MS);
        assert!((millis(&endpoint, start + 100 * MS) - 100.0).abs() < 0.1);
        let later = start + DECAY + 100 * MS;
        assert!((millis(&endpoint, later) - 100.0 / std::f32::consts::E).abs() < 0.1);
        answered(&endpoint, later - MS, MS);
        let expected = 100.0 / std::f32::consts::E + (1.0 - 1.0 / std::f32::consts::E);
        assert!((millis(&endpoint, later) - expected).abs() < 0.1);
        assert_eq!(endpoint.load.latency(later + 200 * DECAY), None);
    }

    #[test]
    fn a_failure_is_no_fast_answer_and_nothing_measured() {
        let (endpoint, now) = (endpoint(1), Instant::now());
        answered(&endpoint, now, MS);
        endpoint.load.failed(MS, now);
        let penalty = |now| {
            endpoint
                .load
                .penalty(now)
                .map(|penalty| penalty.as_millis())
        };
        assert_eq!(penalty(now), Some(1000));
        assert!((millis(&endpoint, now) - 1.0).abs() < 0.1);
        assert!((endpoint.load.cost(now, 1.0) - 1.0).abs() < 0.01);
        endpoint.load.failed(3000 * MS, now);
        assert_eq!(penalty(now), Some(3000));
        assert_eq!(penalty(now + 200 * DECAY), None);
    }

    #[test]
    fn a_caller_who_leaves_hardly_matters_and_many_in_a_row_do() {
        let (endpoint, start) = (endpoint(1), Instant::now());
        let first = start + 10 * MS;
        endpoint.load.answered(10 * MS, first);
        endpoint.load.given_up(50 * MS, first + 5 * MS);
        assert!(millis(&endpoint, first + 5 * MS) < 10.1);
        let mut now = first;
        for _ in 0..600 {
            now += 50 * MS;
            endpoint.load.given_up(50 * MS, now);
        }
        assert!((45.0..=50.0).contains(&millis(&endpoint, now)));
        assert_eq!(endpoint.load.penalty(now), None);
    }

    #[test]
    fn a_quick_refusal_makes_nobody_faster() {
        let (endpoint, start) = (endpoint(1), Instant::now());
        endpoint.load.refused(2 * MS, start);
        assert!(
            (millis(&endpoint, start) - 2.0).abs() < 0.1,
            "all that is known"
        );
        endpoint.load.answered(20 * MS, start);
        let later = start + 3 * DECAY;
        endpoint.load.refused(MS, later);
        assert!((millis(&endpoint, later) - 20.0).abs() < 0.1);
        endpoint.load.refused(30 * MS, later);
        assert!((millis(&endpoint, later) - 30.0).abs() < 0.1);
    }

    #[test]
    fn an_unknown_endpoint_is_free_once_and_then_dear() {
        let (known, unknown, now) = (endpoint(1), endpoint(2), Instant::now());
        answered(&known, now, MS);
        assert!(unknown.load.cost(now, 1.0) < known.load.cost(now, 1.0));
        let _first = LoadGuard::new(unknown.clone(), now);
        assert!(unknown.load.cost(now, 1.0) > known.load.cost(now, 1.0));
        let one = unknown.load.cost(now, 1.0);
        let _second = LoadGuard::new(unknown.clone(), now);
        assert!(unknown.load.cost(now, 1.0) > one);
    }

    proptest! {
        #[test]
        fn the_average_lies_within_what_was_measured(
            steps in proptest::collection::vec((0u64..20_000, 0u64..5_000_000), 1..50),
        ) {
            let start = Instant::now();
            let ewma = PeakEwma::new(start);
            let (mut now, mut highest) = (start, 0.0f32);
            for (gap, micros) in steps {
                now += Duration::from_millis(gap);
                let latency = Duration::from_micros(micros);
                ewma.observe(latency, now);
                highest = highest.max(latency.as_secs_f32());
                let average = ewma.at(now);
                prop_assert!(average.is_finite() && average >= latency.as_secs_f32() * 0.999_99);
                prop_assert!(average <= highest.max(f32::MIN_POSITIVE) * 1.000_01);
            }
        }
    }
}
