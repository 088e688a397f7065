//! A value that is fetched from elsewhere and kept fresh in the background: a token, a set of keys.
//!
//! One task fetches, for all workers: however many requests wait, there is one fetch at a time. The old value serves
//! while a new one is under way or cannot be had; whoever uses it judges whether it still may.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::net::backoff::{Backoff, Jitter};

/// After a failure.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};

/// Fetches that requests may cause ahead of time: so many at once, and another one after each such time. Whoever
/// sends what makes us fetch, such as tokens of unknown keys, must not make us a flood.
const ASKS: u32 = 3;
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What a fetch gives: the value, and after what time to fetch again.
pub type Obtained<T> = Result<(T, Duration), String>;

/// Fetches once. A failure has told its reason to the log.
pub type Obtain<T> = Box<dyn FnMut() -> BoxFuture<'static, Obtained<T>> + Send>;

/// A value with the number of the fetch that it came by.
#[derive(Debug)]
pub struct Held<T> {
    pub value: T,
    pub version: u64,
}

/// Nothing newer is to be had now; it may be worth asking again after this time.
#[derive(Debug, PartialEq, Eq)]
pub struct Unavailable(pub Duration);

/// Keeps a value fresh for as long as it lives.
pub struct Fresh<T> {
    shared: Arc<Shared<T>>,
    task: AbortHandle,
}

struct Shared<T> {
    held: ArcSwapOption<Held<T>>,
    /// Changes with every fetch that ends.
    progress: watch::Sender<Progress>,
    asked: Notify,
    asks: Mutex<Asks>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    version: u64,
    /// The last fetch failed, why, and when the next one begins.
    failed: Option<(Arc<str>, Instant)>,
}

struct Asks {
    /// The version for which a newer one is wanted.
    pending: Option<u64>,
    left: u32,
    filled: Instant,
}

impl<T: Send + Sync + 'static> Fresh<T> {
    /// Fetches at once, and then whenever it is time. `seed` serves until the first fetch gives something. Call it
    /// within the runtime that is to do this; the task ends with the value.
    pub fn start(seed: Option<T>, obtain: Obtain<T>) -> Self {
        let version = u64::from(seed.is_some());
        let held = seed.map(|value| Arc::new(Held { value, version }));
        let progress = Progress {
            version,
            failed: None,
        };
        let shared = Arc::new(Shared {
            held: ArcSwapOption::new(held),
            progress: watch::Sender::new(progress),
            asked: Notify::new(),
            asks: Mutex::new(Asks {
                pending: None,
                left: ASKS,
                filled: Instant::now(),
            }),
        });
        let task = tokio::spawn(keep_fresh(shared.clone(), obtain)).abort_handle();
        Fresh { shared, task }
    }

    /// What serves now, however old it is.
    pub fn now(&self) -> Option<Arc<Held<T>>> {
        self.shared.held.load_full()
    }

    /// Why the last fetch failed, if it did.
    pub fn last_error(&self) -> Option<Arc<str>> {
        let progress = self.shared.progress.borrow();
        progress.failed.as_ref().map(|(why, _)| why.clone())
    }

    /// Waits up to `limit` for a value of a higher version than `than`.
    ///
    /// # Errors
    /// When it is not there in time, or the last fetch has failed: nobody waits for what may fail again.
    pub async fn newer(&self, than: u64, limit: Duration) -> Result<Arc<Held<T>>, Unavailable> {
        let mut progress = self.shared.progress.subscribe();
        let wait = progress.wait_for(|p| p.version > than || p.failed.is_some());
        match timeout(limit, wait).await {
            Ok(Ok(seen)) if seen.version <= than => {
                let next = seen.failed.as_ref().map_or(Duration::ZERO, |(_, next)| {
                    next.saturating_duration_since(Instant::now())
                });
                return Err(Unavailable(next));
            }
            Ok(_) => {}
            Err(_) => return Err(Unavailable(Duration::from_secs(1))),
        }
        self.now().ok_or(Unavailable(Duration::from_secs(1)))
    }

    /// Asks for a newer value than that of version `seen`, ahead of time. Whether one is there or will be fetched
    /// now: not if the last fetch failed, nor when too many were asked for.
    pub fn ask(&self, seen: u64) -> bool {
        let mut asks = self.shared.asks();
        {
            let progress = self.shared.progress.borrow();
            if progress.version > seen {
                return true;
            }
            if progress.failed.is_some() {
                return false;
            }
        }
        if asks.pending == Some(seen) {
            return true;
        }
        if !asks.spend(Instant::now()) {
            return false;
        }
        asks.pending = Some(seen);
        drop(asks);
        self.shared.asked.notify_one();
        true
    }
}

impl<T> Drop for Fresh<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> Shared<T> {
    fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&self) -> u64 {
        self.progress.borrow().version
    }

    fn publish(&self, value: T) {
        let mut asks = self.asks();
        let version = self.version() + 1;
        self.held.store(Some(Arc::new(Held { value, version })));
        asks.pending = None;
        self.progress.send_replace(Progress {
            version,
            failed: None,
        });
    }

    fn fail(&self, why: &str, next: Instant) {
        let mut asks = self.asks();
        asks.pending = None;
        let failed = Some((why.into(), next));
        self.progress
            .send_modify(|progress| progress.failed = failed);
    }

    /// Completes when somebody wants a newer value than there is.
    async fn wanted(&self) {
        loop {
            self.asked.notified().await;
            let pending = self.asks().pending;
            if pending.is_some_and(|seen| seen >= self.version()) {
                return;
            }
        }
    }
}

impl Asks {
    fn spend(&mut self, now: Instant) -> bool {
        let more = (now - self.filled).as_secs() / ASK_EVERY.as_secs();
        let more = u32::try_from(more).unwrap_or(ASKS).min(ASKS);
        if more > 0 {
            self.left = (self.left + more).min(ASKS);
            self.filled = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

async fn keep_fresh<T: Send + Sync + 'static>(shared: Arc<Shared<T>>, mut obtain: Obtain<T>) {
    let mut failures = 0;
    loop {
        match obtain().await {
            Ok((value, wait)) => {
                failures = 0;
                let next = Instant::now() + wait;
                shared.publish(value);
                tokio::select! {
                    () = sleep_until(next) => {}
                    () = shared.wanted() => {}
                }
            }
            Err(why) => {
                let next = Instant::now() + BACKOFF.after(failures);
                failures += 1;
                shared.fail(&why, next);
                sleep_until(next).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    /// Gives these, each after a second; then nothing any more.
    fn giving(answers: Vec<Result<u32, &str>>) -> (Obtain<u32>, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let mut answers: VecDeque<Obtained<u32>> = answers
            .into_iter()
            .map(|answer| answer.map(|value| (value, HOUR)).map_err(str::to_owned))
            .collect();
        let obtain: Obtain<u32> = Box::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let answer = answers.pop_front();
            Box::pin(async move {
                tokio::time::sleep(SECOND).await;
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        });
        (obtain, count)
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_get_what_one_fetch_gives() {
        let (obtain, count) = giving(vec![Ok(7)]);
        let fresh = Fresh::start(None, obtain);
        assert!(fresh.now().is_none());
        let waits = (0..50).map(|_| fresh.newer(0, HOUR));
        for held in futures_util::future::join_all(waits).await {
            assert_eq!(held.unwrap().value, 7);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_fetched_again_in_time() {
        let (obtain, _) = giving(vec![Ok(1), Ok(2)]);
        let fresh = Fresh::start(None, obtain);
        let first = fresh.newer(0, HOUR).await.unwrap();
        let start = Instant::now();
        assert_eq!(fresh.newer(first.version, HOUR * 2).await.unwrap().value, 2);
        assert_eq!(start.elapsed(), HOUR + SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_at_once_and_tried_again_with_backoff() {
        let (obtain, count) = giving(vec![Err("no"), Err("no"), Ok(3)]);
        let fresh = Fresh::start(None, obtain);
        let Unavailable(retry) = fresh.newer(0, HOUR).await.unwrap_err();
        assert!(
            retry <= BACKOFF.first && retry >= BACKOFF.first / 2,
            "{retry:?}"
        );
        assert_eq!(fresh.last_error().as_deref(), Some("no"));
        // Nobody waits for what begins later, nor makes it begin sooner.
        assert!(!fresh.ask(0));
        let start = Instant::now();
        assert!(fresh.newer(0, HOUR).await.is_err());
        assert_eq!(start.elapsed(), Duration::ZERO);
        tokio::time::sleep(SECOND * 10).await;
        assert_eq!(fresh.now().unwrap().value, 3);
        assert_eq!(fresh.last_error(), None);
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_value_serves_while_there_is_no_new_one() {
        let (obtain, _) = giving(vec![Ok(1), Err("no")]);
        let fresh = Fresh::start(None, obtain);
        fresh.newer(0, HOUR).await.unwrap();
        tokio::time::sleep(HOUR + SECOND * 2).await;
        assert!(fresh.last_error().is_some());
        assert_eq!(fresh.now().unwrap().value, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_gets_a_newer_one_but_not_without_end() {
        let (obtain, count) = giving((1..20).map(Ok).collect());
        let fresh = Fresh::start(None, obtain);
        let mut version = fresh.newer(0, HOUR).await.unwrap().version;
        for _ in 0..ASKS {
            // Many see the same old one, and ask together.
            assert!(fresh.ask(version) && fresh.ask(version));
            let newer = fresh.newer(version, HOUR).await.unwrap();
            assert!(fresh.ask(version), "a newer one is there already");
            version = newer.version;
        }
        assert!(!fresh.ask(version));
        let before = count.load(Ordering::SeqCst);
        assert_eq!(before, 1 + ASKS as usize);
        tokio::time::sleep(ASK_EVERY).await;
        assert!(fresh.ask(version));
        assert!(!fresh.ask(version) || fresh.newer(version, HOUR).await.is_ok());
        assert_eq!(count.load(Ordering::SeqCst), before + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_before_serves_at_first() {
        let (obtain, _) = giving(vec![Ok(2)]);
        let fresh = Fresh::start(Some(1), obtain);
        let seed = fresh.now().unwrap();
        assert_eq!(seed.value, 1);
        assert_eq!(fresh.newer(seed.version, HOUR).await.unwrap().value, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_owner() {
        let (obtain, count) = giving(vec![Err("no"); 20]);
        drop(Fresh::start(None, obtain));
        tokio::time::sleep(HOUR).await;
        assert!(count.load(Ordering::SeqCst) <= 1);
    }
}
