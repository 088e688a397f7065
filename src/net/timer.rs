//! Time limits that cost nothing until they matter.
//!
//! A task that runs within [`timed`] has one timer for all its limits, and reads the clock at most once each time
//! that it is polled.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time that moves with every message, and seldom comes.
///
/// Moving it later is a store: the timer under it stays armed for the old time, and is armed anew only when that
/// time comes. So a kept-alive connection pays for one timer operation a timeout, not one a request. Within
/// [`timed`] it is the task's timer; elsewhere one of its own.
#[derive(Default)]
pub struct Deadline {
    at: Option<Instant>,
    alarm: Alarm,
}

impl Deadline {
    pub const fn new() -> Self {
        Deadline {
            at: None,
            alarm: Alarm(None),
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
        if TURN.with(|turn| turn.is_of(cx.waker())) {
            if now() < at {
                TURN.with(|turn| turn.wake_by(at));
                return Poll::Pending;
            }
        } else {
            std::task::ready!(self.alarm.poll(cx, at));
        }
        self.at = None;
        Poll::Ready(())
    }

    /// Completes once the time has passed.
    pub async fn passed(&mut self) {
        poll_fn(|cx| self.poll_passed(cx)).await
    }
}

/// Now. Within [`timed`]: when this turn of the task first asked.
pub fn now() -> Instant {
    TURN.with(|turn| match turn.now.get() {
        Some(now) => now,
        None => {
            let now = Instant::now();
            if !turn.task.get().is_null() {
                turn.now.set(Some(now));
            }
            now
        }
    })
}

/// Runs `future` as a task of its own, with one timer for all its limits.
pub async fn timed(future: Pin<Box<dyn Future<Output = ()> + Send>>) {
    let mut future = future;
    let mut alarm = Alarm(None);
    poll_fn(|cx| {
        loop {
            let (polled, wake_by) = {
                let _turn = Turn::begin(cx.waker());
                let polled = future.as_mut().poll(cx);
                (polled, TURN.with(|turn| turn.wake_by.get()))
            };
            match wake_by {
                // What it waits for may be due by now.
                Some(at) if polled.is_pending() && alarm.wake(cx, at).is_ready() => {}
                _ => return polled,
            }
        }
    })
    .await;
}

/// Polls a part of the task that has a waker of its own. Also gives back when it must be polled again for the sake
/// of its limits: instead of a timer of its own, the task sees to that.
pub fn part<T>(waker: &Waker, poll: impl FnOnce() -> T) -> (T, Option<Instant>) {
    struct Rest(*const (), Option<Instant>);
    impl Drop for Rest {
        fn drop(&mut self) {
            TURN.with(|turn| {
                turn.task.set(self.0);
                turn.wake_by.set(self.1);
                if self.0.is_null() {
                    turn.now.set(None);
                }
            });
        }
    }
    TURN.with(|turn| {
        let _rest = Rest(turn.task.replace(waker.data()), turn.wake_by.take());
        let polled = poll();
        (polled, turn.wake_by.get())
    })
}

/// A timer that is armed no later than it is needed.
#[derive(Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Ready once `at` has passed.
    fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            std::task::ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                self.0 = None;
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }

    /// Has the task woken by `at`; ready when that has passed already. The waker must be the same each time.
    fn wake(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        match &self.0 {
            // Armed for an earlier time, and the task known to it.
            Some(sleep) if sleep.deadline() <= at && !sleep.is_elapsed() => Poll::Pending,
            _ => self.poll(cx, at),
        }
    }
}

thread_local! {
    static TURN: Turn = const { Turn::none() };
}

/// One poll of the task that runs on this thread, if it runs within [`timed`].
struct Turn {
    /// Tells the task's own waker from those that wake a part of it only.
    task: Cell<*const ()>,
    now: Cell<Option<Instant>>,
    /// The earliest time for which the task waits.
    wake_by: Cell<Option<Instant>>,
}

impl Turn {
    const fn none() -> Self {
        Turn {
            task: Cell::new(ptr::null()),
            now: Cell::new(None),
            wake_by: Cell::new(None),
        }
    }

    /// A turn of the task of `waker`, until this drops.
    fn begin(waker: &Waker) -> Ended {
        TURN.with(|turn| Ended {
            before: Turn {
                task: Cell::new(turn.task.replace(waker.data())),
                now: Cell::new(turn.now.take()),
                wake_by: Cell::new(turn.wake_by.take()),
            },
        })
    }

    fn is_of(&self, waker: &Waker) -> bool {
        ptr::eq(self.task.get(), waker.data()) && !self.task.get().is_null()
    }

    fn wake_by(&self, at: Instant) {
        let earlier = self.wake_by.get().is_none_or(|by| at < by);
        if earlier {
            self.wake_by.set(Some(at));
        }
    }
}

struct Ended {
    before: Turn,
}

impl Drop for Ended {
    fn drop(&mut self) {
        TURN.with(|turn| {
            turn.task.set(self.before.task.get());
            turn.now.set(self.before.now.get());
            turn.wake_by.set(self.before.wake_by.get());
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
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

    #[tokio::test(start_paused = true)]
    async fn a_cleared_one_never_comes() {
        let mut deadline = Deadline::new();
        deadline.set(Instant::now() + Duration::from_secs(1));
        deadline.clear();
        let waited = tokio::time::timeout(Duration::from_secs(60), deadline.passed()).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_wakes_for_the_earliest_of_its_limits() {
        timed(Box::pin(async {
            let start = Instant::now();
            let (mut early, mut late) = (Deadline::new(), Deadline::new());
            late.set(start + Duration::from_secs(60));
            assert!(futures_util::poll!(Box::pin(late.passed())).is_pending());
            early.set(start + Duration::from_secs(5));
            tokio::select! {
                () = early.passed() => assert_eq!(start.elapsed().as_secs(), 5),
                () = late.passed() => panic!("the later limit came first"),
            }
            early.set(start + Duration::from_secs(90));
            tokio::select! {
                () = early.passed() => panic!("the later limit came first"),
                () = late.passed() => assert_eq!(start.elapsed().as_secs(), 60),
            }
        }))
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_tells_its_limits_to_the_task() {
        struct Nobody;
        impl std::task::Wake for Nobody {
            fn wake(self: Arc<Self>) {}
        }
        let waker = Waker::from(Arc::new(Nobody));
        let mut limit = Deadline::new();
        limit.set(Instant::now() + Duration::from_secs(5));
        let at = limit.at;
        let mut poll = || limit.poll_passed(&mut Context::from_waker(&waker));
        assert_eq!(part(&waker, || poll().is_pending()), (true, at));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(part(&waker, || poll().is_ready()), (true, None));
    }

    /// What is polled only when its own waker says so must be woken by that.
    #[tokio::test(start_paused = true)]
    async fn a_limit_within_a_part_of_the_task_wakes_that_part() {
        timed(Box::pin(async {
            let start = Instant::now();
            let part = async {
                let mut deadline = Deadline::new();
                deadline.set(start + Duration::from_secs(5));
                deadline.passed().await;
            };
            let mut parts: futures_util::stream::FuturesUnordered<_> = [part].into_iter().collect();
            futures_util::StreamExt::next(&mut parts).await;
            assert_eq!(start.elapsed().as_secs(), 5);
        }))
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_moves_on_costs_one_wake_a_limit() {
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = polls.clone();
        timed(Box::pin(async move {
            let mut deadline = Deadline::new();
            let (start, mut messages) = (Instant::now(), 0);
            let mut message = tokio::time::interval(Duration::from_millis(10));
            poll_fn(|cx| {
                counted.fetch_add(1, Ordering::Relaxed);
                while message.poll_tick(cx).is_ready() {
                    messages += 1;
                    deadline.set(now() + Duration::from_secs(1));
                }
                match messages {
                    500 => Poll::Ready(()),
                    _ => deadline.poll_passed(cx),
                }
            })
            .await;
            assert_eq!((messages, start.elapsed().as_secs()), (500, 4));
        }))
        .await;
        assert!(polls.load(Ordering::Relaxed) < 510);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_of_a_task_has_one_time() {
        timed(Box::pin(async {
            let first = now();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(now() - first, Duration::from_secs(1));
        }))
        .await;
        let outside = now();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(now() - outside, Duration::from_secs(1));
    }
}
