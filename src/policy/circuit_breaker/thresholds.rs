//! When a breaker opens, and for how long.

/// When to open, and for how long. Times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    pub consecutive_failures: Option<u32>,
    pub failure_ratio: Option<f64>,
    pub min_requests: u64,
    pub window: u64,
    pub recovery: u64,
    pub max_recovery: u64,
    /// Requests that a half-open breaker lets through, and that must succeed for it to close.
    pub probes: u32,
}

impl Thresholds {
    /// How long the breaker stays open for the `openings`th time in a row, in milliseconds: twice as long as before.
    pub fn recovery(&self, openings: u32) -> u64 {
        let doublings = openings.saturating_sub(1).min(32);
        let doubled = self.recovery.saturating_mul(1 << doublings);
        doubled.min(self.max_recovery)
    }
}
