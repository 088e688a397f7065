//! How often something is tried that went against somebody else.

use std::time::Duration;

use crate::net::backoff::{Backoff, Jitter};

/// Between two tries.
const AGAIN: Backoff = Backoff {
    first: Duration::from_millis(5),
    longest: Duration::from_millis(200),
    jitter: Jitter::Full,
};
/// How often one is tried, if there is time.
const MOST_TRIES: u32 = 20;

/// The tries that were made and have failed.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// One has failed. How long to wait before the next one; None when there is no other within the time that is `left`.
    pub fn next(&mut self, left: Duration) -> Option<Duration> {
        let wait = AGAIN.after(self.0);
        self.0 += 1;
        (self.0 < MOST_TRIES && wait < left).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_as_time_allows_and_no_more() {
        let mut tries = Tries::default();
        let waits: Vec<Duration> =
            std::iter::from_fn(|| tries.next(Duration::from_secs(60))).collect();
        assert_eq!(waits.len() as u32, MOST_TRIES - 1);
        assert!(waits.iter().all(|wait| *wait <= AGAIN.longest));
        assert_eq!(Tries::default().next(Duration::ZERO), None);
    }
}
