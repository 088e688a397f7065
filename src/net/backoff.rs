//! How long to wait before something that failed is tried again: twice as long each time, and less by chance, so that
//! many who failed together do not come back together.

use std::time::Duration;

/// More do not matter: so many doublings make an hour of 55 ms.
const MOST_DOUBLINGS: u32 = 16;

/// The first wait, the longest, and what is taken off by chance.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
    pub jitter: Jitter,
}

/// What is taken off by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Up to all of it: the most even load, for many who want the same.
    Full,
    /// Up to a half: whoever asks alone, and often, waits at least so long.
    Half,
}

impl Backoff {
    /// The wait after `failures` that came before the last one.
    pub fn after(self, failures: u32) -> Duration {
        let doubled = self
            .first
            .saturating_mul(1 << failures.min(MOST_DOUBLINGS))
            .min(self.longest);
        doubled.mul_f32(match self.jitter {
            Jitter::Full => fastrand::f32(),
            Jitter::Half => 1.0 - fastrand::f32() / 2.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let range = |jitter, failures| {
            let backoff = Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(1),
                jitter,
            };
            let drawn = (0..1000).map(|_| backoff.after(failures).as_millis());
            let (mut least, mut most) = (u128::MAX, 0);
            for wait in drawn {
                (least, most) = (least.min(wait), most.max(wait));
            }
            (least, most)
        };
        for (failures, whole) in [(0, 100), (1, 200), (3, 800), (4, 1000), (u32::MAX, 1000)] {
            let (least, most) = range(Jitter::Full, failures);
            assert!(least < whole / 10 && (whole * 9 / 10..=whole).contains(&most));
            let (least, most) = range(Jitter::Half, failures);
            assert!((whole / 2..whole * 6 / 10).contains(&least));
            assert!((whole * 9 / 10..=whole).contains(&most));
        }
    }
}
