//! How much a peer may do that costs it little and us more.

use std::time::Duration;

use tokio::time::Instant;

/// A budget that refills with time. The clock is read only when it runs low.
pub struct Budget {
    left: u32,
    most: u32,
    /// What one second gives back.
    per_second: u32,
    /// When it was last refilled; none until it runs low for the first time.
    refilled: Option<Instant>,
}

impl Budget {
    pub const fn new(most: u32, per_second: u32) -> Self {
        Budget {
            left: most,
            most,
            per_second,
            refilled: None,
        }
    }

    /// Takes one; says whether there was one.
    pub fn spend(&mut self) -> bool {
        if self.left == 0 {
            self.refill(Instant::now());
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }

    /// Gives some back, as what came was worth it.
    pub fn earn(&mut self, some: u32) {
        self.left = self.left.saturating_add(some).min(self.most);
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.refilled.get_or_insert(now);
        let earned = (now - since).as_millis() as u64 * u64::from(self.per_second) / 1000;
        if earned > 0 {
            self.earn(u32::try_from(earned).unwrap_or(u32::MAX));
            self.refilled =
                Some(since + Duration::from_millis(earned * 1000 / u64::from(self.per_second)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_spent_comes_back_with_time() {
        let mut budget = Budget::new(10, 2);
        let mut spend = |most: u32| (0..most).filter(|_| budget.spend()).count();
        assert_eq!(spend(20), 10);
        tokio::time::advance(Duration::from_millis(1200)).await;
        assert_eq!(spend(20), 2);
        tokio::time::advance(Duration::from_millis(300)).await;
        assert_eq!(spend(20), 1);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(spend(20), 10);
    }

    #[test]
    fn what_is_earned_is_bounded() {
        let mut budget = Budget::new(3, 1);
        budget.spend();
        budget.earn(100);
        assert_eq!(budget.left, 3);
    }
}
