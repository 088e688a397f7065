//! Which traces are recorded.

use super::identity::{Randomness, TraceId};
use super::parent::Parent;

/// One more than the largest number that 56 bits can hold.
const ALL: u64 = 1 << 56;

/// Decides whether a request is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Whoever has a parent is recorded if that is.
    follows_parent: bool,
    /// Traces are recorded whose random part is at least this: the rejection threshold of OpenTelemetry's `TraceIdRatioBased`.
    /// Everybody who knows the id and the ratio comes to the same. Both are digits, which compare as numbers do.
    threshold: Randomness,
}

/// Behind all digits: nothing is recorded.
const NOTHING: Randomness = [b'~'; 14];

impl Sampler {
    /// `ratio` is the share of traces that are recorded where the caller did not decide, from 0 to 1.
    pub fn new(follows_parent: bool, ratio: f64) -> Self {
        let rejected = (1.0 - ratio.clamp(0.0, 1.0)) * ALL as f64;
        let digits = format!("{:014x}", rejected as u64);
        Sampler {
            follows_parent,
            threshold: digits.as_bytes().try_into().unwrap_or(NOTHING),
        }
    }

    #[inline]
    pub(super) fn records_new(&self, trace: &TraceId) -> bool {
        *trace.randomness() >= self.threshold
    }

    pub(super) fn records_below(&self, parent: &Parent) -> bool {
        if self.follows_parent {
            parent.flags.is_sampled()
        } else {
            self.records_new(&parent.trace)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_recorded_and_the_same_one_everywhere() {
        for (ratio, from, to) in [(0.0, 0, 0), (0.1, 800, 1200), (1.0, 10_000, 10_000)] {
            let sampler = Sampler::new(true, ratio);
            let traces: Vec<_> = (0..10_000).map(|_| TraceId::new()).collect();
            let recorded = traces.iter().filter(|trace| sampler.records_new(trace));
            let count = recorded.clone().count();
            assert!((from..=to).contains(&count), "{ratio}: {count}");
            // Whoever records more records those as well.
            let more = Sampler::new(true, ratio + 0.1);
            assert!(recorded.into_iter().all(|trace| more.records_new(trace)));
        }
    }

    #[test]
    fn the_parent_decides_unless_it_is_not_to() {
        for sampled in ["00", "01"] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{sampled}");
            let parent = Parent::read(text.as_bytes()).unwrap();
            let follows = Sampler::new(true, 0.0).records_below(&parent);
            assert_eq!(follows, sampled == "01");
            assert!(Sampler::new(false, 1.0).records_below(&parent));
            assert!(!Sampler::new(false, 0.0).records_below(&parent));
        }
    }
}
