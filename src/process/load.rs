//! Whether there was load, and is none any more: told from the CPU time that the process has used, so whatever was
//! its work counts.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often to look.
pub const LOOK: Duration = Duration::from_secs(10);

/// From a rest to the next there is at least this much work. What a rest costs afterwards is some hundredth of it, so
/// a caller every now and then does not find the proxy resting each time.
const WORK: Duration = Duration::from_millis(50);

/// A rest begins when no thread used more than this, by and large, since the last look: a thousandth of a CPU. What a
/// worker does by itself is a fifth of it, and half of it in a build that is not optimized.
const REST: Duration = Duration::from_millis(10);

/// The CPU time that all threads have used so far.
pub fn cpu_time() -> Duration {
    // The kernel counts from 0 at the start of the process.
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .unwrap_or_default()
}

/// What was seen at earlier looks.
#[derive(Debug)]
pub struct Load {
    /// What all threads may use until the next look in a rest.
    rest: Duration,
    at_last_look: Duration,
    at_last_rest: Duration,
}

impl Load {
    /// For so many workers, and the thread that governs them.
    pub fn of(workers: usize) -> Self {
        Load {
            rest: REST * u32::try_from(workers + 1).unwrap_or(u32::MAX),
            at_last_look: Duration::ZERO,
            at_last_rest: Duration::ZERO,
        }
    }

    /// Whether load has just given way to rest; `used` is the CPU time so far.
    pub fn is_over(&mut self, used: Duration) -> bool {
        let since_look = used.saturating_sub(self.at_last_look);
        let since_rest = used.saturating_sub(self.at_last_rest);
        self.at_last_look = used;
        let over = since_look <= self.rest && since_rest >= WORK;
        if over {
            self.at_last_rest = used;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_over_once_each_time() {
        let mut load = Load::of(1);
        // Milliseconds of CPU time at each look, and whether load is then over.
        let looks = [
            (20, false),
            (9_000, false),
            (18_000, false),
            (18_010, true),
            (18_020, false),
            (18_020, false),
            (18_200, false),
            (18_201, true),
            (18_202, false),
        ];
        for (used, over) in looks {
            assert_eq!(load.is_over(Duration::from_millis(used)), over, "{used} ms");
        }
    }

    #[test]
    fn a_caller_every_now_and_then_is_no_load() {
        let mut load = Load::of(1);
        let rests = (1..=1_000).filter(|look| load.is_over(Duration::from_millis(*look)));
        assert_eq!(rests.count(), 1_000 / 50);
    }

    #[test]
    fn many_workers_may_do_more_in_a_rest() {
        let (before, after) = (Duration::from_secs(1), Duration::from_millis(1_080));
        for (workers, over) in [(1, false), (4, false), (8, true), (64, true)] {
            let mut load = Load::of(workers);
            assert!(!load.is_over(before));
            assert_eq!(load.is_over(after), over, "{workers} workers");
        }
    }

    #[test]
    fn work_uses_time() {
        let before = cpu_time();
        while cpu_time() == before {
            std::hint::spin_loop();
        }
        assert!(cpu_time() > before);
    }
}
