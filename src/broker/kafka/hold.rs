//! For how long a broker may hold back an answer that has no messages.
//!
//! One of Kafka answers as soon as it has some, whatever it was allowed. There are others that do not look again before the
//! time is over: with these, nobody waits for a message longer than a hundredth of the time since the one before.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest and the longest: when messages come, and when none has come for long.
const HOLD: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Which part of the time without messages an answer may be held back.
const PART: u32 = 100;

/// When messages came last.
pub(super) struct Hold {
    last: Instant,
}

impl Hold {
    pub fn new() -> Self {
        Hold {
            last: Instant::now(),
        }
    }

    /// Messages came.
    pub fn came(&mut self) {
        self.last = Instant::now();
    }

    pub fn now(&self) -> Duration {
        (self.last.elapsed() / PART).clamp(HOLD.0, HOLD.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_held_back_longer_the_longer_nothing_comes() {
        let mut hold = Hold::new();
        for (after, held) in [(0, 20), (1, 20), (9, 100), (20, 300), (100, 500)] {
            tokio::time::advance(Duration::from_secs(after)).await;
            assert_eq!(hold.now(), Duration::from_millis(held), "{after}");
        }
        hold.came();
        assert_eq!(hold.now(), Duration::from_millis(20));
    }
}
