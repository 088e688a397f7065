//! Where large bodies are worked on: not on the worker's own thread, where every other connection would wait.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

/// Bodies up to this many bytes are changed in less time than a change of threads is worth: 32 KiB of JSON take a
/// JMESPath step about half a millisecond.
const AT_ONCE: usize = 32 << 10;

/// As many as there are cores, so that a burst of large bodies waits in line, and not in memory of threads.
static PLACES: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));

/// Does `work` on a body of `size` bytes. None when it panicked: a bug, which ends this one request.
pub async fn run<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if size <= AT_ONCE {
        return Some(work());
    }
    let place = PLACES.acquire().await;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.ok()
}
