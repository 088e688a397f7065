//! How many requests a bucket grants as time goes by.

use proptest::prelude::*;

use super::*;
use crate::policy::rate_limit::bucket::{Bucket, Refill};

#[tokio::test(start_paused = true)]
async fn the_burst_is_granted_at_once_and_the_rate_from_then_on() {
    let policy = limited("{ requests = 100, per = \"1s\", burst = 100 }");
    let mut admitted = 0;
    for _ in 0..=20_000 {
        admitted += granted(&policy, 5, plain);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(admitted, 2_100);
}

#[tokio::test(start_paused = true)]
async fn time_spent_in_policies_above_is_not_held_against_a_request() {
    let policy = limited("{ requests = 1 }");
    let early = plain();
    assert_eq!(granted(&policy, 1, plain), 1);
    tokio::time::advance(SECOND).await;
    assert!(policy.pass(&early).is_ok());
}

#[test]
fn the_count_of_tokens_may_wrap_around() {
    let mut count = 0_u64.wrapping_sub(1 << 53);
    let bucket = Bucket::like(&Bucket::default(), count);
    for _ in 0..64 {
        assert!(bucket.take(count, TOKEN).is_ok());
        assert!(bucket.take(count, TOKEN).is_err());
        count = count.wrapping_add(1 << 49);
    }
    let refill = Refill {
        count: 7,
        rate: 1e6,
    };
    let a_year = refill.after(365.0 * 86_400.0);
    assert_eq!(
        a_year,
        ((31_536_000_000_000_u128 << 20) as u64).wrapping_add(7)
    );
}

/// A bucket as a textbook has it: with a number of tokens and a clock.
struct Textbook {
    tokens: f64,
    at: f64,
}

impl Textbook {
    fn take(&mut self, now: f64, rate: f64, burst: f64) -> bool {
        self.tokens = (self.tokens + (now - self.at) * rate).min(burst);
        self.at = now;
        let granted = self.tokens >= 1.0 - 1e-4;
        self.tokens -= f64::from(u8::from(granted));
        granted
    }
}

proptest! {
    #[test]
    fn a_bucket_grants_what_a_textbook_one_grants(
        rate in 0.001f64..1e6,
        burst in 1u32..10_000,
        beginning in any::<u64>(),
        steps in proptest::collection::vec((0u64..2_000_000, 1usize..20), 1..60),
    ) {
        let refill = Refill { count: beginning, rate };
        let full = Bucket::default();
        prop_assume!(full.owed(beginning) == 0);
        let bucket = Bucket::like(&full, beginning);
        let mut textbook = Textbook { tokens: f64::from(burst), at: 0.0 };
        let mut now = 0.0;
        for (micros, requests) in steps {
            now += micros as f64 / 1e6;
            for _ in 0..requests {
                let granted = bucket.take(refill.after(now), u64::from(burst) * TOKEN).is_ok();
                // The last digits may differ where the bucket has just the one token.
                let near = ((textbook.tokens + (now - textbook.at) * rate) - 1.0).abs() < 1e-3;
                if near {
                    return Ok(());
                }
                prop_assert_eq!(granted, textbook.take(now, rate, f64::from(burst)));
            }
        }
    }
}
