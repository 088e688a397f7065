//! `hedge_after`: a second attempt beside a first one that takes long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration as Length;

use serde::{Deserialize, Serialize};

use crate::value::{Duration, Wrong};

/// When the second attempt begins.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub enum HedgeAfter {
    /// After this time.
    Length(Duration),
    /// When the first takes longer than 95 % of the route's attempts did lately.
    P95,
}

impl TryFrom<String> for HedgeAfter {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        match text.as_str() {
            "p95" => Ok(HedgeAfter::P95),
            text => match text.parse() {
                Ok(length) => Ok(HedgeAfter::Length(length)),
                Err(wrong) => Err(Wrong {
                    help: wrong.help.map(|help| format!("{help}, or \"p95\"")),
                    ..wrong
                }),
            },
        }
    }
}

impl From<HedgeAfter> for String {
    fn from(after: HedgeAfter) -> String {
        match after {
            HedgeAfter::Length(length) => length.to_string(),
            HedgeAfter::P95 => "p95".to_owned(),
        }
    }
}

/// Buckets of [`Latencies`]: four to a doubling, from 1 µs to 71 minutes.
const BUCKETS: usize = 128;
/// Fewer say nothing about the slowest twentieth.
const FEWEST: u32 = 100;
/// Then all counts are halved, so that what is long ago weighs less.
const MOST: u32 = 4096;
/// The percentile is worked out anew after so many.
const REFRESH: u32 = 64;

/// How long attempts took to the head of their answer, shared by all workers.
pub struct Latencies {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
    /// Microseconds; 0 while it is not known.
    p95: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies {
            counts: [const { AtomicU32::new(0) }; BUCKETS],
            total: AtomicU32::new(0),
            p95: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    pub fn record(&self, length: Length) {
        self.counts[bucket(length)].fetch_add(1, Ordering::Relaxed);
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        if total >= FEWEST && total.is_multiple_of(REFRESH) {
            self.refresh();
        }
        if total >= MOST {
            self.halve();
        }
    }

    /// 95 % took no longer, give or take a fifth; None while too few were recorded.
    pub fn p95(&self) -> Option<Length> {
        match self.p95.load(Ordering::Relaxed) {
            0 => None,
            micros => Some(Length::from_micros(micros)),
        }
    }

    fn refresh(&self) {
        let counts = self.counts.each_ref().map(|c| c.load(Ordering::Relaxed));
        let total: u32 = counts.iter().sum();
        let mut above = total / 20;
        // From the slowest down, to the bucket in which the slowest twentieth begins.
        for (index, count) in counts.iter().enumerate().rev() {
            if *count > above {
                self.p95.store(upper_end(index), Ordering::Relaxed);
                return;
            }
            above -= count;
        }
    }

    fn halve(&self) {
        let mut total = 0;
        for count in &self.counts {
            let half = count.load(Ordering::Relaxed) / 2;
            count.store(half, Ordering::Relaxed);
            total += half;
        }
        self.total.store(total, Ordering::Relaxed);
    }
}

fn bucket(length: Length) -> usize {
    let micros = length.as_micros().clamp(1, u128::from(u32::MAX)) as u64;
    let doubling = micros.ilog2() as usize;
    // The two bits below the highest.
    let quarter = match doubling {
        0 => 0,
        1 => ((micros & 1) << 1) as usize,
        _ => ((micros >> (doubling - 2)) & 3) as usize,
    };
    doubling * 4 + quarter
}

/// Microseconds at which the next bucket begins.
fn upper_end(bucket: usize) -> u64 {
    let (doubling, quarter) = (bucket / 4, bucket as u64 % 4);
    ((5 + quarter) << doubling).div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn little_is_not_enough_to_judge_by() {
        let latencies = Latencies::default();
        (0..99).for_each(|_| latencies.record(Length::from_millis(1)));
        assert_eq!(latencies.p95(), None);
    }

    #[test]
    fn the_percentile_is_near_and_follows() {
        let latencies = Latencies::default();
        let record = |range: std::ops::Range<u64>| {
            for _ in 0..20 {
                range
                    .clone()
                    .for_each(|n| latencies.record(Length::from_millis(n + 1)));
            }
        };
        record(0..100);
        let p95 = latencies.p95().unwrap().as_millis();
        assert!((95..=119).contains(&p95), "{p95}");
        (0..20).for_each(|_| record(900..1000));
        let p95 = latencies.p95().unwrap().as_millis();
        assert!((950..=1250).contains(&p95), "{p95}");
    }

    #[test]
    fn it_is_a_duration_or_p95() {
        let parse = |text: &str| HedgeAfter::try_from(text.to_owned());
        assert_eq!(parse("p95"), Ok(HedgeAfter::P95));
        let length = HedgeAfter::Length(Duration::from_millis(20));
        assert_eq!(parse("20ms"), Ok(length));
        assert_eq!(String::from(length), "20ms");
        assert!(parse("p99").unwrap_err().to_string().contains("p95"));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_latencies(micros in 1u64..4_000_000_000) {
            let bucket = bucket(Length::from_micros(micros));
            prop_assert!(bucket < BUCKETS);
            prop_assert!(micros <= upper_end(bucket));
            prop_assert!(upper_end(bucket) as f64 <= (micros as f64 * 1.26).max(2.0));
        }
    }
}
