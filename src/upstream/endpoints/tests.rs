//! Endpoints that no HTTP is spoken to: what is not a transport serves them all the same.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::address::Address;
use super::destination::Discovery;
use super::discovery::Follower;
use super::endpoint::Endpoint;
use super::transport::Transport;
use crate::http::caller_key::CallerKey;
use crate::net::resolve::Resolve;
use crate::upstream::balance::balancer::BalancerConfig;
use crate::upstream::balance::load_guard::LoadGuard;
use crate::upstream::balance::picker::{Availability, Limits, Picker};
use crate::upstream::fake::Names;
use crate::upstream::health::checker::{Checker, HealthConfig};
use crate::upstream::health::outlier::OutlierConfig;
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

fn picker(balancer: BalancerConfig) -> Picker {
    let limits = Limits {
        health_checks: true,
        outliers: Some(OutlierConfig::default()),
        slow_start: Duration::ZERO,
    };
    Picker::next(&"db".into(), balancer, limits, None)
}

/// The place of the endpoint that is picked for a query that has been nowhere.
fn pick(picker: &Picker, follower: &Follower<Wire>, key: Option<u64>) -> usize {
    let list = follower.set().load_full();
    let picked = picker.pick(&list, key, Instant::now(), |_| false).unwrap();
    let place = list
        .entries()
        .iter()
        .position(|entry| Arc::ptr_eq(&entry.endpoint, picked.endpoint));
    place.unwrap()
}

#[tokio::test]
async fn the_less_busy_one_is_picked() {
    let follower = follow(&["10.0.0.1:1", "10.0.0.2:1"], &Arc::default());
    let picker = picker(BalancerConfig::LeastRequest);
    let _busy = LoadGuard::new(endpoint(&follower, 0), Instant::now());
    assert!((0..20).all(|_| pick(&picker, &follower, None) == 1));
}

#[tokio::test]
async fn another_is_picked_where_a_query_has_been_and_the_same_for_the_same_key() {
    let follower = follow(&["10.0.0.1:1", "10.0.0.2:1"], &Arc::default());
    let hash = BalancerConfig::Hash(CallerKey::ClientIp);
    let picker = picker(hash);
    let (list, now) = (follower.set().load_full(), Instant::now());
    for key in 0..20 {
        let first = pick(&picker, &follower, Some(key));
        assert_eq!(pick(&picker, &follower, Some(key)), first);
        let been = endpoint(&follower, first);
        let has_been = |endpoint: &Endpoint<Wire>| std::ptr::eq(endpoint, &*been);
        let next = picker.pick(&list, Some(key), now, has_been).unwrap();
        assert!(!Arc::ptr_eq(next.endpoint, &been) && !next.in_panic);
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

#[tokio::test(start_paused = true)]
async fn one_that_fails_too_often_is_ejected_and_tried_again() {
    let follower = follow(&["10.0.0.1:1", "10.0.0.2:1"], &Arc::default());
    let picker = picker(BalancerConfig::RoundRobin);
    let bad = endpoint(&follower, 0);
    for _ in 0..5 {
        bad.standing.failed();
    }
    assert!((0..4).all(|_| pick(&picker, &follower, None) == 1));
    let availability = || picker.availability(&bad, Instant::now());
    assert_eq!(availability(), Availability::Ejected);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(availability(), Availability::Available);
    let picked: Vec<_> = (0..4).map(|_| pick(&picker, &follower, None)).collect();
    assert!(picked.contains(&0), "{picked:?}");
}

#[tokio::test]
async fn when_all_are_out_one_is_picked_all_the_same() {
    let follower = follow(&["10.0.0.1:1"], &Arc::default());
    endpoint(&follower, 0).standing.mark(Mark::Unhealthy);
    let list = follower.set().load_full();
    let picker = picker(BalancerConfig::Random);
    let picked = picker.pick(&list, None, Instant::now(), |_| false);
    assert!(picked.is_some_and(|picked| picked.in_panic));
}
