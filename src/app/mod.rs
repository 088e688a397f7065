//! The composition root: builds everything once, then waits for reloads and for the end.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use futures_util::future::{join, join_all};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::admin;
use crate::broker;
use crate::config::Loaded;
use crate::database;
use crate::fetch::{self, Fetch};
use crate::listener::{self, Listener};
use crate::net::resolve::SystemResolver;
use crate::policy;
use crate::process::{self, descriptors, load, load::Load, pages::Program};
use crate::proxy;
use crate::relay;
use crate::subscription;
use crate::target;
use crate::telemetry::{self, Telemetry, flood};
use crate::tls::callers;
use crate::upstream;
use crate::value::exposition::Metric;

mod bridge;
pub mod changes;
pub(crate) mod control;
pub mod explain;
mod flows;
mod hands;
mod integrations;
pub mod last_good;
mod original;
mod places;
mod registering;
mod relays;
pub mod reload;
mod routes;
pub mod snapshot;
mod stats;
mod subscriptions;
mod tcp_routes;
mod watching;
pub mod worker;

use bridge::Bridge;
use control::{Control, Order};
use flows::Flows;
use integrations::Host;
use last_good::Keeper;
use registering::Registering;
use reload::{Readings, Reloader, Source, Status, Told, Warnings};
use snapshot::{Snapshot, Tools};
use subscriptions::Subscriptions;
use watching::Watching;
use worker::Workers;

/// Orders of the admin API that may wait while a reload is under way.
const ORDERS: usize = 64;

/// How long after starting or reading a config what only that needed is let go: new listeners and tasks need some of it.
const SETTLED: Duration = Duration::from_millis(100);

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything under way was finished, or had its time.
    Drained,
    /// A second signal cut what was under way.
    Cut,
}

/// Runs the proxy until it is told to end. `ready` is called once it serves.
///
/// # Errors
/// What kept it from starting.
pub fn run(
    source: Source,
    loaded: Loaded,
    ready: impl FnOnce(&[Arc<Listener>]),
) -> io::Result<End> {
    let program = Program::loaded();
    process::fix_worker_count(loaded.config.process.workers());
    let telemetry = Telemetry::start(&loaded.config.log, &every_metric());
    let telemetry = Arc::new(telemetry.map_err(io::Error::other)?);
    descriptors::raise();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let end = runtime.block_on(serve(source, loaded, &telemetry, &program, ready));
    // Its tasks hold on to the telemetry, which writes out its last lines when it goes.
    drop(runtime);
    end
}

/// The metrics that there are. Each room declares its own, beside what it counts.
pub(crate) fn every_metric() -> Vec<&'static [Metric]> {
    let rooms = [
        listener::METRICS,
        proxy::METRICS,
        upstream::METRICS,
        target::METRICS,
        subscription::METRICS,
        broker::METRICS,
        relay::METRICS,
        database::METRICS,
        reload::METRICS,
        last_good::METRICS,
    ];
    [&rooms[..], telemetry::METRICS, policy::Config::METRICS].concat()
}

async fn serve(
    source: Source,
    loaded: Loaded,
    telemetry: &Arc<Telemetry>,
    program: &Program,
    ready: impl FnOnce(&[Arc<Listener>]),
) -> io::Result<End> {
    let mut ends = Ends::new()?;
    let mut hangups = signal(SignalKind::hangup())?;
    let mut warnings = Warnings::default();
    warnings.tell(&loaded.warnings);
    let taken = reload::take_all(&loaded.config)?;
    let api = admin::bind(&loaded.config.admin.config.listen)?;
    let probes = admin::bind(&loaded.config.admin.config.probe_listen)?;

    let watch = Watching::start(&source, &loaded.watched)?;
    let mut readings = Readings::new(&source);
    if !loaded.is_on_disk {
        // What is there is read once more, and refused as loudly as at any reload.
        readings.look();
    }
    let log = telemetry.clone();
    let resolver = Arc::new(SystemResolver::new());
    let fetch: Arc<dyn Fetch> = Arc::new(fetch::Pooled::new(resolver.clone()));
    let bridge = Arc::new(Bridge::default());
    let tools = Tools {
        bridge: bridge.clone(),
        fetch: fetch.clone(),
        resolver,
        requests: telemetry.requests().clone(),
        access_writer: Box::new(move || log.log().access_writer().ok()),
    };
    let is_on_disk = loaded.is_on_disk;
    let first = Snapshot::of((loaded.config, loaded.content), None, &tools)
        .map_err(|problems| io::Error::other(format!("{:?}", problems.into_vec())))?;
    let mut keeper = Keeper::default();
    if is_on_disk {
        keeper.keep(&first.config, &loaded.places);
    }
    drop(loaded.places);
    let snapshot = Arc::new(ArcSwap::from_pointee(first));
    let (orders, mut received) = mpsc::channel(ORDERS);
    let draining = Arc::new(AtomicBool::new(false));
    let registering = Registering::new(&source, orders.clone(), &draining);
    let host = Host::new(&snapshot, telemetry, registering.clone());
    let workers = Workers::start(&snapshot, Arc::new(host))?;
    let flows = Arc::new(Flows::new(Subscriptions::new(&workers, &snapshot), fetch));
    let api_tls = Arc::new(admin::Tls::default());
    let mut reloader = Reloader::start(
        tools,
        workers,
        snapshot.clone(),
        taken,
        api_tls.clone(),
        flows.clone(),
        Told {
            warnings,
            keeper,
            is_on_disk,
        },
    );
    let status = reloader.status();
    tokio::spawn(recall_expired(status.clone()));
    tokio::spawn(drop_gone_series(telemetry.clone(), status.clone()));
    tokio::spawn(flood::sum_up_in_time());

    let control: Arc<dyn admin::Proxy> = Arc::new(Control::new(
        snapshot.clone(),
        status.clone(),
        flows.clone(),
        draining.clone(),
        registering,
        orders,
        telemetry.clone(),
    ));
    if let Some(bound) = api {
        let router = admin::api(control.clone(), bound.address());
        tokio::spawn(admin::serve(bound, router, api_tls, std::future::pending()));
    }
    if let Some(bound) = probes {
        tokio::spawn(admin::serve(
            bound,
            admin::probes(control),
            Arc::default(),
            std::future::pending(),
        ));
    }
    ready(&status.listeners());
    tokio::spawn(settle(program.clone()));
    tokio::spawn(settle_after_load(program.clone()));

    loop {
        let read = tokio::select! {
            () = ends.received() => break,
            _ = hangups.recv() => {
                readings.order(None);
                continue;
            }
            () = watch.changed() => {
                readings.look();
                continue;
            }
            read = readings.ended() => read,
            () = turn(snapshot.load().turns_at) => {
                reloader.renew();
                continue;
            }
            order = received.recv() => match order {
                Some(Order::Reload(answer)) => {
                    readings.order(Some(answer));
                    continue;
                }
                Some(Order::Drain) => {
                    if !draining.swap(true, Ordering::SeqCst) {
                        tokio::spawn(drain(snapshot.clone(), status.clone(), flows.clone()));
                    }
                    continue;
                }
                Some(Order::Quit) | None => break,
            },
        };
        let outcome = if draining.load(Ordering::SeqCst) {
            Err("the proxy is draining and takes no new config\n".to_owned())
        } else {
            let outcome = reloader.put_to_use(read.found, read.ordered);
            if let Some(watched) = &outcome.watched {
                watch.set_paths(watched);
            }
            readings.note(reloader.is_up_to_date());
            telemetry.log().apply(&snapshot.load().config.log);
            tokio::spawn(settle(program.clone()));
            outcome.told
        };
        read.answers.tell(&outcome);
    }
    let drained = async {
        if draining.swap(true, Ordering::SeqCst) {
            wait_for_end(&snapshot, &status, &flows).await;
        } else {
            drain(snapshot.clone(), status.clone(), flows.clone()).await;
        }
    };
    let end = tokio::select! {
        () = drained => End::Drained,
        () = ends.received() => End::Cut,
    };
    flood::sum_up_all();
    tracing::info!(?end, "the proxy ends");
    Ok(end)
}

/// Lets go of what is resident only for what happens seldom.
async fn settle(program: Program) {
    tokio::time::sleep(SETTLED).await;
    program.let_go();
}

/// Lets go of what is resident only for serving, whenever there is little to serve after load.
async fn settle_after_load(program: Program) {
    let mut load = Load::of(process::worker_count());
    // The start goes on for a moment behind its end, and this look itself begins with what happens once.
    tokio::time::sleep(load::LOOK).await;
    load.is_over(load::cpu_time());
    program.let_go();
    loop {
        tokio::time::sleep(load::LOOK).await;
        if load.is_over(load::cpu_time()) {
            program.let_go();
        }
    }
}

/// Completes when a certificate becomes valid or ends, by a clock that may be set meanwhile; at most a second late.
async fn turn(at: Option<SystemTime>) {
    const LONGEST: Duration = Duration::from_secs(60);
    let Some(at) = at else {
        return std::future::pending().await;
    };
    loop {
        let left = at.duration_since(SystemTime::now()).unwrap_or_default();
        tokio::time::sleep(left.clamp(Duration::from_secs(1), LONGEST)).await;
        if at <= SystemTime::now() {
            return;
        }
    }
}

/// Forgets, again and again, what was counted of routes, upstreams and listeners that are gone for long.
async fn drop_gone_series(telemetry: Arc<Telemetry>, status: Arc<Status>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(60));
    loop {
        ticks.tick().await;
        status.forget_ended();
        telemetry.drop_gone_series();
    }
}

/// Looks every second for callers whose certificate has expired, while there are any with one.
async fn recall_expired(status: Arc<Status>) {
    loop {
        callers::entered().await;
        while status.listeners().iter().any(|l| l.has_known_callers()) {
            for listener in status.listeners() {
                listener.recall_expired();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Readiness fails already; no more messages are taken. Serves on for `delay`, then lets everything under way finish.
async fn drain(snapshot: Arc<ArcSwap<Snapshot>>, status: Arc<Status>, flows: Arc<Flows>) {
    let config = snapshot.load().config.shutdown.clone();
    tracing::info!(delay = %config.delay, limit = %config.drain_timeout, "draining");
    flows.subscriptions.stop();
    tokio::time::sleep(config.delay.0).await;
    for listener in status.listeners() {
        listener.drain.start();
    }
    wait_for_end(&snapshot, &status, &flows).await;
}

/// How long at most the last spans may take to be sent, once all else has ended.
const SENDING: Duration = Duration::from_secs(5);
/// How long before the drain timeout relays take no more rows, so that those under way are settled.
const SETTLING: Duration = Duration::from_secs(5);

async fn wait_for_end(snapshot: &ArcSwap<Snapshot>, status: &Status, flows: &Flows) {
    let limit = snapshot.load().config.shutdown.drain_timeout.0;
    let listeners = status.all_listeners();
    let brokers: Vec<_> = snapshot.load().brokers.values().cloned().collect();
    let ended = async {
        let mut callers = pin!(async {
            flows.subscriptions.end().await;
            for listener in &listeners {
                listener.drain.started().await;
                listener.drain.ended().await;
            }
        });
        // What the last requests have written is published too, but rows that are under way when all ends come twice.
        let early = limit - SETTLING.min(limit / 2);
        let have_ended = tokio::time::timeout(early, &mut callers).await.is_ok();
        flows.relays.end().await;
        if !have_ended {
            callers.await;
        }
        // Whoever publishes has its answer by now.
        join_all(brokers.iter().map(|broker| broker.close())).await;
    };
    let sent = async {
        // Where something would last too long, its span is not waited for.
        let mut ended = pin!(ended);
        let early = limit - SENDING.min(limit / 2);
        let have_ended = tokio::time::timeout(early, &mut ended).await.is_ok();
        let flushed = tokio::time::timeout(SENDING, flows.spans.flush());
        let flushed = if have_ended {
            flushed.await
        } else {
            join(ended, flushed).await.1
        };
        if flushed.is_err() {
            tracing::warn!("the collector does not take the last spans: they are lost");
        }
    };
    if tokio::time::timeout(limit, sent).await.is_err() {
        let left: usize = listeners.iter().map(|listener| listener.drain.live()).sum();
        tracing::warn!(
            connections = left,
            "the drain timeout has passed: what is left is cut"
        );
    }
}

/// The signals that end the process.
struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Ends {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
