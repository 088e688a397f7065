//! What is done without a caller: by the thread that has messages of a broker to deliver, or by workers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::snapshot::Snapshot;
use crate::app::worker::{self, Order};
use crate::net::timer;
use crate::process;

/// For so many hundredths of its time may the bridge be busy: above it, workers take over what it would do.
const BUSY: u32 = 80;

/// Something to do.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Has jobs done where there are connections to upstreams.
#[derive(Clone)]
pub struct Hands {
    workers: Vec<mpsc::WeakSender<Order>>,
    next: Arc<AtomicUsize>,
    bridge_is_busy: Arc<AtomicBool>,
}

impl Hands {
    /// `workers` are what gives orders to each of them.
    pub fn new(workers: Vec<mpsc::WeakSender<Order>>) -> Self {
        Hands {
            workers,
            next: Arc::default(),
            bridge_is_busy: Arc::default(),
        }
    }

    /// Has `job` done: by the bridge itself, where that asks and is not busy, as waking another thread and being woken
    /// by it costs as much as the job. Else by the workers, one after the other. It is dropped when all are so far behind
    /// that they are stuck, or the process ends.
    pub fn run(&self, job: Job) {
        if process::is_bridge() && !self.bridge_is_busy.load(Ordering::Relaxed) {
            // It ends with this runtime at the latest.
            tokio::spawn(timer::timed(job));
            return;
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut job = Some(job);
        for place in 0..self.workers.len() {
            let worker = self.workers[(first + place) % self.workers.len()].upgrade();
            let (Some(worker), Some(wanted)) = (worker, job.take()) else {
                return;
            };
            match worker.try_send(Order::Run(wanted)) {
                Ok(()) => return,
                Err(
                    TrySendError::Full(Order::Run(back)) | TrySendError::Closed(Order::Run(back)),
                ) => job = Some(back),
                Err(_) => return,
            }
        }
    }

    /// Looks after what the bridge keeps, and how busy it is. To be run there; it never ends.
    pub async fn look_after_bridge(self, snapshot: Arc<ArcSwap<Snapshot>>) {
        let mut ticks = interval(worker::SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut since, mut spent) = (Instant::now(), time_of_thread());
        loop {
            let now = ticks.tick().await;
            let spent_now = time_of_thread();
            let busy = spent_now.saturating_sub(spent) * 100 > now.duration_since(since) * BUSY;
            self.bridge_is_busy.store(busy, Ordering::Relaxed);
            (since, spent) = (now, spent_now);
            worker::sweep(&snapshot);
        }
    }
}

/// What this thread has spent of a core's time.
fn time_of_thread() -> Duration {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    /// A job, and what tells in which thread it was done.
    fn job() -> (Job, oneshot::Receiver<ThreadId>) {
        let (tell, told) = oneshot::channel();
        let job = async move {
            let _nobody_waits = tell.send(thread::current().id());
        };
        (job.boxed(), told)
    }

    /// As the bridge does it: gives a job, and waits for a moment.
    fn give(hands: &Hands) -> (ThreadId, Option<ThreadId>) {
        let hands = hands.clone();
        let bridge = thread::spawn(move || {
            process::become_bridge();
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                let (job, told) = job();
                hands.run(job);
                tokio::task::yield_now().await;
                let done = told.now_or_never().and_then(Result::ok);
                (thread::current().id(), done)
            })
        });
        bridge.join().unwrap()
    }

    #[test]
    fn the_bridge_does_itself_what_it_gives_unless_it_is_busy() {
        let (orders, mut received) = mpsc::channel(1);
        let hands = Hands::new(vec![orders.downgrade()]);
        let (bridge, done) = give(&hands);
        assert_eq!(done, Some(bridge));
        assert!(received.try_recv().is_err());
        hands.bridge_is_busy.store(true, Ordering::Relaxed);
        let (_, done) = give(&hands);
        assert_eq!(done, None);
        assert!(matches!(received.try_recv(), Ok(Order::Run(_))));
    }

    #[test]
    fn others_have_their_jobs_done_by_one_worker_after_the_other() {
        let (orders, mut received): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel(1)).unzip();
        let hands = Hands::new(orders.iter().map(mpsc::Sender::downgrade).collect());
        for _ in 0..3 {
            hands.run(job().0);
        }
        for worker in &mut received {
            assert!(matches!(worker.try_recv(), Ok(Order::Run(_))));
        }
    }
}
