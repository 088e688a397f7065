//! A limit that follows the upstream's latency: Netflix's `Gradient2Limit`, of the library concurrency-limits.
//!
//! The latency of the last moments is compared with that of the last minutes. While they are alike, the limit grows by
//! a little more than is in use, so a queue that forms somewhere shows as latency; then the limit shrinks by as much
//! as the latency has grown. The long-term latency is learnt from all requests, so none is ever refused, nor the
//! limit lowered, in order to measure.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Where the limit begins, as far as its bounds allow: Netflix's default.
const INITIAL: f64 = 20.0;
/// Requests that may wait in queues without harm: how fast the limit grows.
const QUEUE: f64 = 4.0;
/// Latency may be so much higher than in the long term before the limit shrinks.
const TOLERANCE: f64 = 1.5;
/// The part of a new limit that counts at once.
const SMOOTHING: f64 = 0.2;
/// Moments that the long-term latency remembers.
const LONG_TERM: f64 = 600.0;
/// A new one is the plain mean of so many.
const WARM_UP: u32 = 10;

/// A moment lasts so many milliseconds at least, and has at least so many samples.
const MOMENT: u64 = 100;
const SAMPLES: u64 = 10;

/// The lowest and the highest limit.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub floor: u32,
    pub ceiling: u32,
}

/// What was learnt of a route's upstream, by all workers.
#[derive(Default)]
pub struct Gradient {
    /// The bits of [`Estimate::limit`], as the requests read it.
    limit: AtomicU64,
    /// Sum of the latencies of this moment in nanoseconds, their number, the most requests at once, and its end.
    sum: AtomicU64,
    samples: AtomicU64,
    most: AtomicU32,
    ends: AtomicU64,
    estimate: Mutex<Estimate>,
}

impl Gradient {
    /// The limit as it stands, without what it is learnt from.
    pub fn apart(&self) -> Self {
        Gradient {
            limit: AtomicU64::new(self.limit.load(Ordering::Relaxed)),
            ..Gradient::default()
        }
    }

    pub fn limit(&self, bounds: Bounds) -> u32 {
        let limit = match self.limit.load(Ordering::Relaxed) {
            0 => INITIAL,
            bits => f64::from_bits(bits),
        };
        (limit as u32).clamp(bounds.floor, bounds.ceiling)
    }

    /// A request took so long, and there were so many at once when it began; `now` is in milliseconds.
    pub fn sample(&self, latency: Duration, in_flight: u32, now: u64, bounds: Bounds) {
        let nanos = latency.as_nanos().max(1) as u64;
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        let samples = self.samples.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(in_flight, Ordering::Relaxed);
        if samples < SAMPLES || now < self.ends.load(Ordering::Relaxed) {
            return;
        }
        // Whoever comes second finds the moment over.
        let Ok(mut estimate) = self.estimate.try_lock() else {
            return;
        };
        if now < self.ends.load(Ordering::Relaxed) {
            return;
        }
        self.ends.store(now + MOMENT, Ordering::Relaxed);
        // A sample that falls between these counts in part for the next moment, which hardly matters.
        let samples = self.samples.swap(0, Ordering::Relaxed).max(1);
        let mean = self.sum.swap(0, Ordering::Relaxed) as f64 / samples as f64;
        let most = self.most.swap(0, Ordering::Relaxed);
        estimate.learn(mean, most, bounds);
        self.limit
            .store(estimate.limit.to_bits(), Ordering::Relaxed);
    }

    /// The long-term latency; zero while nothing is known.
    pub fn long_term(&self) -> Duration {
        let estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_nanos(estimate.long_term as u64)
    }
}

struct Estimate {
    limit: f64,
    /// In nanoseconds.
    long_term: f64,
    moments: u32,
}

impl Default for Estimate {
    fn default() -> Self {
        Estimate {
            limit: INITIAL,
            long_term: 0.0,
            moments: 0,
        }
    }
}

impl Estimate {
    /// `mean` is the latency of a moment in nanoseconds, `most` its highest number of requests at once.
    fn learn(&mut self, mean: f64, most: u32, bounds: Bounds) {
        let (floor, ceiling) = (f64::from(bounds.floor), f64::from(bounds.ceiling));
        self.limit = self.limit.clamp(floor, ceiling);
        self.moments = self.moments.saturating_add(1);
        let weight = if self.moments <= WARM_UP {
            1.0 / f64::from(self.moments)
        } else {
            2.0 / (LONG_TERM + 1.0)
        };
        self.long_term += (mean - self.long_term) * weight;
        // After a long time under load: the way back to what is usual is quicker than the average's own.
        if self.long_term > 2.0 * mean {
            self.long_term *= 0.95;
        }
        // Most of it is not in use, so nothing shows whether more would be good.
        if f64::from(most) < self.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * self.long_term / mean).clamp(0.5, 1.0);
        let next = self.limit * gradient + QUEUE;
        let smoothed = self.limit * (1.0 - SMOOTHING) + next * SMOOTHING;
        self.limit = smoothed.clamp(floor, ceiling);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        floor: 5,
        ceiling: 200,
    };
    const MS: Duration = Duration::from_millis(1);

    /// An upstream that does `servers` requests at once, each in `service` milliseconds, and queues the rest.
    fn latency(in_flight: u32, servers: u32, service: u32) -> Duration {
        MS * service * in_flight.div_ceil(servers).max(1)
    }

    /// Callers take all that the limit grants, up to `demand`; gives back the limit after so many moments.
    fn settled(gradient: &Gradient, now: &mut u64, moments: u32, demand: u32, servers: u32) -> u32 {
        for _ in 0..moments {
            *now += MOMENT;
            let in_flight = gradient.limit(BOUNDS).min(demand);
            for _ in 0..SAMPLES {
                gradient.sample(latency(in_flight, servers, 10), in_flight, *now, BOUNDS);
            }
        }
        gradient.limit(BOUNDS)
    }

    #[test]
    fn it_grows_while_latency_does_not() {
        let (gradient, mut now) = (Gradient::default(), 0);
        assert_eq!(gradient.limit(BOUNDS), 20);
        assert_eq!(settled(&gradient, &mut now, 400, 1_000, 1_000), 200);
    }

    #[test]
    fn it_shrinks_where_a_queue_forms() {
        let (gradient, mut now) = (Gradient::default(), 0);
        let usual = settled(&gradient, &mut now, 200, 1_000, 60);
        assert!((60..=125).contains(&usual), "{usual}");
        // Five sixths of the upstream are gone.
        let less = settled(&gradient, &mut now, 50, 1_000, 10);
        assert!(less <= usual / 2, "{less} after {usual}");
    }

    #[test]
    fn it_does_not_grow_beyond_what_is_in_use() {
        let (gradient, mut now) = (Gradient::default(), 0);
        assert!(settled(&gradient, &mut now, 400, 5, 1_000) <= 20);
    }

    #[test]
    fn a_few_samples_say_nothing() {
        let gradient = Gradient::default();
        for _ in 1..SAMPLES {
            gradient.sample(MS, 20, 1_000, BOUNDS);
        }
        assert_eq!(gradient.long_term(), Duration::ZERO);
        gradient.sample(MS, 20, 1_000, BOUNDS);
        assert_eq!(gradient.long_term(), MS);
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds(
            floor in 1u32..50,
            more in 0u32..500,
            steps in proptest::collection::vec((1u64..1_000_000_000, 0u32..1_000), 1..200),
        ) {
            let bounds = Bounds { floor, ceiling: floor + more };
            let (gradient, mut now) = (Gradient::default(), 0);
            for (nanos, in_flight) in steps {
                now += MOMENT;
                for _ in 0..SAMPLES {
                    gradient.sample(Duration::from_nanos(nanos), in_flight, now, bounds);
                }
                let limit = gradient.limit(bounds);
                prop_assert!((bounds.floor..=bounds.ceiling).contains(&limit));
            }
        }
    }
}
