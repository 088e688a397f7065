//! Endpoints that no HTTP is spoken to: what is not a transport serves them all the same.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::address::Address;
use super::discovery::{Discovery, Follower};
use super::endpoint::Endpoint;
use super::resolve::Resolve;
use super::transport::Transport;
use crate::upstream::balance::balancer::{Balancer, BalancerConfig};
use crate::upstream::balance::load::LoadGuard;
use crate::upstream::fake::Names;
use crate::upstream::health::checker::{Checker, HealthConfig};
use crate::upstream::health::outlier::{Ejector, OutlierConfig};
use crate::upstream::health::standing::Mark;
use crate::upstream::transport::settings::Protocol;

/// Connections that speak something of their own.
struct Wire {
    to: Address,
    closed: AtomicBool,
}

impl Transport for Wire {
    fn new(address: &Address) -> Self {
        Wire {
            to: address.clone(),
            closed: AtomicBool::new(false),
        }
    }

    fn connections(&self) -> (usize, usize) {
        (1, 0)
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

fn follow(endpoints: &[&str], names: &Arc<Names>) -> Arc<Follower<Wire>> {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|address| serde_json::from_value(serde_json::json!(address)).unwrap())
        .collect();
    let resolver: Arc<dyn Resolve> = names.clone();
    let name = "db".parse().unwrap();
    let follower = Follower::start(&name, &endpoints, Discovery::Dns, None, &resolver);
    Arc::new(follower)
}

fn endpoint(follower: &Follower<Wire>, index: usize) -> Arc<Endpoint<Wire>> {
    follower.set().load().entries()[index].endpoint.clone()
}

#[tokio::test(start_paused = true)]
async fn they_are_discovered_and_close_when_they_are_gone() {
    let names = Arc::new(Names::default());
    names.set("db", &["10.0.0.1", "10.0.0.2"]);
    let follower = follow(&["db:5432"], &names);
    follower.set().ready().await;
    assert_eq!(follower.set().load().entries().len(), 2);
    let second = endpoint(&follower, 1);
    assert_eq!(second.transport.to, second.address);
    assert_eq!(second.connections(), (1, 0));
    names.set("db", &["10.0.0.1"]);
    sleep(Names::TTL * 2).await;
    assert_eq!(follower.set().load().entries().len(), 1);
    assert!(second.transport.closed.load(Ordering::Relaxed));
}

#[tokio::test]
async fn the_less_busy_one_is_picked() {
    let follower = follow(&["10.0.0.1:1", "10.0.0.2:1"], &Arc::default());
    let balancer = Balancer::new(BalancerConfig::LeastRequest);
    let now = Instant::now();
    let _busy = LoadGuard::new(endpoint(&follower, 0), now);
    let list = follower.set().load_full();
    for _ in 0..20 {
        let picked = balancer.pick(&list, None, now, |_| true).unwrap();
        assert!(Arc::ptr_eq(picked, &endpoint(&follower, 1)));
    }
}

#[tokio::test]
async fn they_are_checked_over_tcp() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let shut = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [&open, &shut].map(|socket| socket.local_addr().unwrap().to_string());
    drop(shut);
    let follower = follow(&addresses.each_ref().map(String::as_str), &Arc::default());
    let health: HealthConfig = toml::from_str("tcp = true\ninterval = \"10ms\"").unwrap();
    let checker = Checker::next("db", Some(&health), Protocol::Auto, None, &follower, None);
    let is_out = |index| {
        let standing = &endpoint(&follower, index).standing;
        standing.marks().has(Mark::Unhealthy)
    };
    let told = async {
        while endpoint(&follower, 0).health.last().is_none() || !is_out(1) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
    assert!(checker.is_some() && !is_out(0));
}

#[tokio::test]
async fn one_that_fails_too_often_is_ejected() {
    let follower = follow(&["10.0.0.1:1", "10.0.0.2:1"], &Arc::default());
    let (config, ejector) = (OutlierConfig::default(), Ejector::new("db"));
    let (bad, now) = (endpoint(&follower, 0), Instant::now());
    let list = follower.set().load_full();
    assert!(!ejector.eject(&config, &list, &bad, now));
    for _ in 0..100 {
        bad.standing.failed();
    }
    assert!(ejector.eject(&config, &list, &bad, now));
    assert!(bad.standing.marks().has(Mark::Ejected));
}
