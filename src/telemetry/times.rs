//! How long things took, read back from a histogram of the metrics.

use serde::Serialize;

use super::tally::Scale;

/// The durations that one histogram has counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// None before the first.
    pub mean_seconds: Option<f64>,
    /// Estimated from the buckets of the histogram: exact to the bucket, and at most the highest bound (1 h).
    pub p50_seconds: Option<f64>,
    pub p90_seconds: Option<f64>,
    pub p99_seconds: Option<f64>,
    /// How many lie in each bucket of [`bounds`], the last being that above every bound. What two readings have between them
    /// is what came between them.
    pub duration_buckets: Vec<u64>,
}

/// The upper bounds of the buckets, in seconds.
pub fn bounds() -> &'static [f64] {
    Scale::Seconds.bounds()
}

impl Times {
    /// Of a histogram with these counts, and that sum.
    pub(super) fn of((counts, sum): (Vec<u64>, f64)) -> Self {
        let total: u64 = counts.iter().sum();
        let quantile = |q| (total > 0).then(|| quantile(&counts, q));
        Times {
            mean_seconds: (total > 0).then(|| sum / total as f64),
            p50_seconds: quantile(0.5),
            p90_seconds: quantile(0.9),
            p99_seconds: quantile(0.99),
            duration_buckets: counts,
        }
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.duration_buckets.iter().sum()
    }
}

/// The value below which `q` of all lie, as if those of a bucket were spread evenly over it: what Prometheus's
/// `histogram_quantile` makes of the same buckets. What is above every bound counts as the highest.
fn quantile(counts: &[u64], q: f64) -> f64 {
    let total: u64 = counts.iter().sum();
    let rank = q * total as f64;
    let mut below = 0;
    let mut lower = 0.0;
    for (count, upper) in counts.iter().zip(Scale::Seconds.bounds()) {
        let with = below + count;
        if *count > 0 && with as f64 >= rank {
            return lower + (upper - lower) * (rank - below as f64) / *count as f64;
        }
        below = with;
        lower = *upper;
    }
    lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let mut counts = vec![0; Scale::Seconds.bounds().len() + 1];
        counts[1] = 90;
        counts[7] = 9;
        counts[15] = 1;
        let within = |q, from: f64, to: f64| {
            let found = quantile(&counts, q);
            assert!(from <= found && found <= to, "{q}: {found}");
        };
        within(0.5, 0.0005, 0.001);
        within(0.9, 0.0005, 0.001);
        within(0.95, 0.05, 0.1);
        within(0.999, 30.0, 60.0);
        assert_eq!(quantile(&[4; 1], 0.5), 0.00025);
    }
}
