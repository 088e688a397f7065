//! Sends what waits in a queue, batch by batch, and never more than one at once.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::join_all;
use http::{HeaderValue, Method, header};
use metrics::{Counter, counter};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{Verdict, judge};
use super::pipeline::Pipeline;
use super::settings::Settings;
use crate::fetch::{Call, Fetch};
use crate::net::backoff::{Backoff, Jitter};
use crate::telemetry::flood::{self, Group, Kind};
use crate::tls::outbound::Client;
use crate::trace::{Batch, DROPPED, Queue};
use crate::value::exposition::Metric;

pub const EXPORTED: Metric = Metric::counter(
    "outrigger_spans_exported_total",
    "Spans that the collector has taken.",
);

/// How long to wait before a batch is sent again that a collector would not take.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
    jitter: Jitter::Half,
};
/// A collector that asks for more is not believed.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest answer of a collector that is read, in bytes.
const ANSWER: usize = 64 << 10;

static LOST: Kind = Kind {
    message: "spans were not sent",
    severe: false,
    first: 3,
};

/// Those that send, of the config that serves and of those before it that have something left.
pub struct Exporters {
    fetch: Arc<dyn Fetch>,
    running: Mutex<Vec<Running>>,
}

struct Running {
    /// Whose spans are sent.
    queue: Arc<Queue>,
    orders: mpsc::UnboundedSender<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Exporters {
    pub fn new(fetch: Arc<dyn Fetch>) -> Self {
        Exporters {
            fetch,
            running: Mutex::default(),
        }
    }

    /// Has the spans of `pipeline` sent from now on. Those of another one before it, whose requests may be under way, are sent
    /// to where they were meant to go. To be called within a runtime, which does it.
    pub fn follow(&self, pipeline: Option<&Arc<Pipeline>>) {
        let mut running = self.running();
        running.retain(|one| !one.task.is_finished());
        let Some(pipeline) = pipeline else {
            return;
        };
        let queue = pipeline.tracer.queue();
        if running.iter().any(|one| Arc::ptr_eq(&one.queue, queue)) {
            return;
        }
        let (orders, received) = mpsc::unbounded_channel();
        let exporter = Exporter {
            fetch: self.fetch.clone(),
            settings: pipeline.settings.clone(),
            client: pipeline.client.clone(),
            queue: queue.clone(),
            orders: received,
            failures: 0,
            quiet_until: None,
            exported: counter!(EXPORTED.name),
            rejected: counter!(DROPPED.name, "reason" => "rejected"),
            failed: counter!(DROPPED.name, "reason" => "failed"),
        };
        running.push(Running {
            queue: queue.clone(),
            orders,
            // It ends when nobody can have spans for it any more, and with this at the latest.
            task: tokio::spawn(exporter.run()),
        });
    }

    /// Has all sent that waits, and completes when that was done or given up.
    pub async fn flush(&self) {
        let told: Vec<_> = self
            .running()
            .iter()
            .map(|one| {
                let (done, is_done) = oneshot::channel();
                // One that is gone has nothing left.
                let _gone = one.orders.send(done);
                is_done
            })
            .collect();
        join_all(told).await;
    }

    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Exporters {
    fn drop(&mut self) {
        for one in self.running().drain(..) {
            one.task.abort();
        }
    }
}

struct Exporter {
    fetch: Arc<dyn Fetch>,
    settings: Arc<Settings>,
    client: Option<Arc<Client>>,
    queue: Arc<Queue>,
    orders: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// How often in a row the collector took nothing.
    failures: u32,
    /// The collector is not to be called before.
    quiet_until: Option<Instant>,
    exported: Counter,
    rejected: Counter,
    failed: Counter,
}

impl Exporter {
    async fn run(mut self) {
        let mut next = Instant::now() + self.settings.delay;
        loop {
            let (all, told) = tokio::select! {
                () = self.queue.filled() => (false, None),
                () = sleep_until(next) => (true, None),
                Some(told) = self.orders.recv() => (true, Some(told)),
            };
            while all || self.queue.has_batch() {
                let Some(batch) = self.queue.take() else {
                    break;
                };
                self.send(batch).await;
            }
            if let Some(told) = told {
                let _nobody_waits = told.send(());
            }
            if all {
                next = Instant::now() + self.settings.delay;
                if self.is_over() {
                    return;
                }
            }
        }
    }

    /// Nobody but this, and whoever looks after it, has the queue.
    fn is_over(&self) -> bool {
        Arc::strong_count(&self.queue) <= 2 && self.queue.is_empty()
    }

    async fn send(&mut self, batch: Batch) {
        let spans = batch.spans as u64;
        let Some(call) = self.call(&batch.fields) else {
            return self.lost(&self.failed, spans, "they cannot be asked for");
        };
        drop(batch);
        let until = Instant::now() + self.settings.patience;
        loop {
            if let Some(quiet) = self.quiet_until.take() {
                sleep_until(quiet).await;
            }
            let sent = timeout(self.settings.timeout, self.fetch.fetch(call.clone()));
            let answer = sent
                .await
                .unwrap_or_else(|_| Err(format!("no answer within {:?}", self.settings.timeout)));
            match judge(answer) {
                Verdict::Taken { rejected } => {
                    self.failures = 0;
                    let rejected = rejected.min(spans);
                    self.exported.increment(spans - rejected);
                    if rejected > 0 {
                        self.lost(&self.rejected, rejected, "the collector takes only a part");
                    }
                    return;
                }
                Verdict::Refused(why) => return self.lost(&self.rejected, spans, &why),
                Verdict::Later(why, wait) => {
                    let own = BACKOFF.after(self.failures);
                    let wait = wait.map_or(own, |wait| wait.max(own));
                    self.failures = self.failures.saturating_add(1);
                    let again = Instant::now() + wait.min(LONGEST_WAIT);
                    self.quiet_until = Some(again);
                    if again > until {
                        return self.lost(&self.failed, spans, &why);
                    }
                }
            }
        }
    }

    fn call(&self, spans: &[u8]) -> Option<Call> {
        let settings = &self.settings;
        let mut headers = settings.headers.clone();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/x-protobuf"),
        );
        let mut body = settings.message(spans);
        if settings.gzip {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            // A Vec takes everything.
            packed.write_all(&body).ok()?;
            body = packed.finish().ok()?;
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Some(Call {
            method: Method::POST,
            url: settings.url.clone(),
            tls: self.client.clone(),
            headers,
            body: body.into(),
            limit: ANSWER,
        })
    }

    fn lost(&self, counter: &Counter, spans: u64, why: &str) {
        counter.increment(spans);
        if flood::passes(&LOST, Group::default()) {
            tracing::warn!(spans, "{}: {why}", LOST.message);
        }
    }
}
