//! One thread with its own runtime, listening sockets and upstream connections.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::app::hands::{Hands, Job};
use crate::app::snapshot::Snapshot;
use crate::listener::{self, ListenSocket, Listener};
use crate::net::buffer;
use crate::net::drain::Hold;
use crate::net::pipe;
use crate::net::timer;
use crate::process;
use crate::proxy::integrations::Host;
use crate::proxy::serving::Serving;
use crate::proxy::{self, Proxy};

/// Idle connections, and what is kept for reuse, are looked through so often.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// Orders that may wait for a busy worker: more than one reload can give.
const ORDERS: usize = 4096;

/// The workers of this process. They end when this drops.
pub struct Workers {
    proxy: Arc<Proxy>,
    threads: Vec<Worker>,
}

struct Worker {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker is told to do.
pub enum Order {
    /// The hold keeps the listener's drain from ending before its socket was ever accepted from.
    Listen(Arc<Listener>, Hold, ListenSocket),
    /// What is to be done on a worker, with its connections to upstreams.
    Run(Job),
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// When the kernel gives no thread or no event queue.
    pub fn start(snapshot: &Arc<ArcSwap<Snapshot>>, host: Arc<dyn Host>) -> io::Result<Self> {
        let mut workers = Workers {
            proxy: Arc::new(Proxy::new(&snapshot.load().serving, host)),
            threads: Vec::with_capacity(process::worker_count()),
        };
        for index in 0..process::worker_count() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let (orders, received) = mpsc::channel(ORDERS);
            let (proxy, snapshot) = (workers.proxy.clone(), snapshot.clone());
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    process::become_worker(index);
                    runtime.block_on(work(proxy, snapshot, received));
                })?;
            workers.threads.push(Worker {
                orders: Some(orders),
                thread: Some(thread),
            });
        }
        Ok(workers)
    }

    /// Has all workers serve `next` from now on.
    pub fn switch_to(&self, next: &Arc<Serving>) {
        self.proxy.switch_to(next);
    }

    /// What has the workers do something.
    pub fn hands(&self) -> Hands {
        let senders = self
            .threads
            .iter()
            .filter_map(|worker| worker.orders.as_ref());
        Hands::new(senders.map(mpsc::Sender::downgrade).collect())
    }

    pub fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Has every worker accept from its socket, until the listener drains.
    pub fn listen(&self, listener: &Arc<Listener>, sockets: Vec<ListenSocket>) {
        for (worker, socket) in self.threads.iter().zip(sockets) {
            if let Some(orders) = &worker.orders {
                // A worker that is gone has panicked, and has said so; one that is behind by so many is stuck.
                let _ = orders.try_send(Order::Listen(
                    listener.clone(),
                    listener.drain.hold(),
                    socket,
                ));
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.threads {
            worker.orders = None;
        }
        for worker in &mut self.threads {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
    }
}

/// A worker's life: it ends when nobody can give it orders any more, and cuts what is still under way.
async fn work(
    proxy: Arc<Proxy>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Listen(listener, hold, socket)) => {
                    let proxy = proxy.clone();
                    // It ends when its listener drains; each connection ends with its listener's drain, or with
                    // this runtime.
                    tokio::spawn(listener::accept(listener, hold, socket, move |accepted| {
                        let serving = Box::pin(proxy::serve(proxy.clone(), accepted));
                        tokio::spawn(timer::timed(serving));
                    }));
                }
                // It ends with this runtime at the latest.
                Some(Order::Run(job)) => drop(tokio::spawn(timer::timed(job))),
                None => return,
            },
            _ = sweep.tick() => self::sweep(&snapshot),
        }
    }
}

/// Closes what was idle for too long, and lets go of what this thread keeps for reuse.
pub(super) fn sweep(snapshot: &ArcSwap<Snapshot>) {
    snapshot.load().sweep();
    buffer::trim();
    pipe::trim();
}
