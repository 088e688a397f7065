//! The time of day, for what is told of it with every request. The system is asked once a second; from there on, the
//! clock counts that a task has read anyway.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::net::timer;

/// How long it is counted on from what the system said. A clock that is set is told no later than that.
const LIFE: Duration = Duration::from_secs(1);

/// What the system said, and when.
#[derive(Clone, Copy)]
struct Read {
    at: Instant,
    since_1970: Duration,
}

thread_local! {
    static LAST: Cell<Option<Read>> = const { Cell::new(None) };
}

/// What has passed since 1970 began, in UTC. None when the clock shows a time before that.
pub fn now() -> Option<Duration> {
    let now = timer::now();
    if let Some(last) = LAST.get() {
        let passed = now.saturating_duration_since(last.at);
        if passed < LIFE {
            return Some(last.since_1970 + passed);
        }
    }
    let system = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since_1970 = system.ok()?;
    LAST.set(Some(Read {
        at: now,
        since_1970,
    }));
    Some(since_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_counted_on_and_read_again_after_a_second() {
        let system = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let before = system().unwrap();
        let first = now().unwrap();
        assert!((before..=system().unwrap()).contains(&first));
        let step = Duration::from_millis(700);
        tokio::time::advance(step).await;
        assert_eq!(now(), Some(first + step));
        tokio::time::advance(step).await;
        let again = now().unwrap();
        assert!((first..=system().unwrap()).contains(&again));
    }
}
