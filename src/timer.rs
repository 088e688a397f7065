//! Time limits that cost nothing until they matter.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

thread_local! {
    static OVERDUE: Cell<bool> = const { Cell::new(false) };
}

/// Drops what has taken too long. Whatever is dropped with it can tell, by [`is_overdue`], that its time was over
/// and not that the caller went away.
pub fn drop_overdue<T>(late: T) {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            OVERDUE.set(false);
        }
    }
    let _reset = Reset;
    OVERDUE.set(true);
    drop(late);
}

/// Whether this is called while something is dropped by [`drop_overdue`].
pub fn is_overdue() -> bool {
    OVERDUE.get()
}

/// A point in time that moves with every message, and seldom comes.
///
/// Moving it later is a store: the timer under it stays armed for the old time, and is armed anew only when that
/// time comes. So a kept-alive connection pays for one timer operation a timeout, not one a request.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    armed: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub const fn new() -> Self {
        Deadline {
            at: None,
            armed: None,
        }
    }

    /// Sets the time at which [`Deadline::poll_passed`] completes.
    pub fn set(&mut self, at: Instant) {
        self.at = Some(at);
    }

    /// Never completes until set again.
    pub fn clear(&mut self) {
        self.at = None;
    }

    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready once the time has passed.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let sleep = self.armed.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                self.at = None;
                self.armed = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }

    /// Completes once the time has passed.
    pub async fn passed(&mut self) {
        std::future::poll_fn(|cx| self.poll_passed(cx)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn moves_later_and_earlier() {
        let start = Instant::now();
        let mut deadline = Deadline::new();
        deadline.set(start + Duration::from_secs(60));
        assert!(futures_util::poll!(Box::pin(deadline.passed())).is_pending());
        deadline.set(start + Duration::from_secs(5));
        deadline.passed().await;
        assert_eq!(start.elapsed().as_secs(), 5);

        deadline.set(start + Duration::from_secs(10));
        assert!(futures_util::poll!(Box::pin(deadline.passed())).is_pending());
        deadline.set(start + Duration::from_secs(30));
        deadline.passed().await;
        assert_eq!(start.elapsed().as_secs(), 30);
    }

    #[test]
    fn what_is_dropped_learns_that_it_was_late() {
        struct Learns<'a>(&'a Cell<Option<bool>>);
        impl Drop for Learns<'_> {
            fn drop(&mut self) {
                self.0.set(Some(is_overdue()));
            }
        }
        let learnt = Cell::new(None);
        drop_overdue(Learns(&learnt));
        assert_eq!(learnt.get(), Some(true));
        drop(Learns(&learnt));
        assert_eq!(learnt.get(), Some(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cleared_one_never_comes() {
        let mut deadline = Deadline::new();
        deadline.set(Instant::now() + Duration::from_secs(1));
        deadline.clear();
        let waited = tokio::time::timeout(Duration::from_secs(60), deadline.passed()).await;
        assert!(waited.is_err());
    }
}
