//! Tests of the pool, against a listener that only accepts.

use std::sync::atomic::AtomicBool;

use futures_util::poll;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use super::*;
use crate::http::error::CONNECT_FAILED;
use crate::value::Limit;

/// A pool, and the listener that its connections go to.
struct Site {
    pool: Arc<Pool>,
    limits: PoolConfig,
    listener: UnixListener,
    stage: Stage,
    _folder: tempfile::TempDir,
}

fn site(max_connections: usize) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    Site {
        listener: UnixListener::bind(&path).unwrap(),
        pool: Arc::new(Pool::new(Address::Unix(path.into()))),
        limits: PoolConfig {
            max_connections,
            max_pending: 4,
            ..PoolConfig::default()
        },
        stage: Stage::default(),
        _folder: folder,
    }
}

impl Site {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            limits: &self.limits,
            connect_timeout: Duration::from_secs(1),
            secure: None,
            careful: false,
            fresh: false,
            asked: Instant::now(),
            stage: &self.stage,
        }
    }

    async fn lend(&self) -> Result<Lease, Error> {
        self.pool.lend(self.wanted()).await
    }

    async fn accept(&self) -> UnixStream {
        self.listener.accept().await.unwrap().0
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_given_back_is_lent_again() {
    let site = site(2);
    let first = site.lend().await.unwrap();
    assert!(!first.is_reused());
    assert_eq!(site.pool.counts(), (1, 0));
    first.give_back();
    assert_eq!(site.pool.counts(), (1, 1));
    let again = site.lend().await.unwrap();
    assert!(again.is_reused());
    drop(again);
    assert_eq!(site.pool.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_requests_wait_in_line() {
    let site = site(1);
    let first = site.lend().await.unwrap();
    let (mut second, mut third) = (Box::pin(site.lend()), Box::pin(site.lend()));
    assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
    first.give_back();
    assert!(poll!(&mut third).is_pending(), "it is not its turn");
    let second = second.await.unwrap();
    assert!(second.is_reused());
    drop(second);
    assert!(!third.await.unwrap().is_reused());
}

#[tokio::test(start_paused = true)]
async fn the_line_is_not_endless_and_whoever_left_it_does_not_count() {
    let site = site(1);
    let lease = site.lend().await.unwrap();
    let mut line: Vec<_> = (0..4).map(|_| Box::pin(site.lend())).collect();
    for waiting in &mut line {
        assert!(poll!(waiting).is_pending());
    }
    assert_eq!(site.lend().await.err().unwrap().reason(), OVERLOADED);
    drop(line.remove(0));
    let mut late = Box::pin(site.lend());
    assert!(poll!(&mut late).is_pending());
    lease.give_back();
    let second = line.remove(0).await.unwrap();
    assert!(second.is_reused(), "the first in line has left");
}

#[tokio::test(start_paused = true)]
async fn what_was_granted_to_one_who_left_goes_to_the_next() {
    for give_back in [true, false] {
        let site = site(1);
        let lease = site.lend().await.unwrap();
        let (mut second, mut third) = (Box::pin(site.lend()), Box::pin(site.lend()));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending());
        if give_back {
            lease.give_back()
        } else {
            drop(lease)
        }
        // It was granted, and never looked.
        drop(second);
        drop(third.await.unwrap());
        assert_eq!(site.pool.counts(), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_is_not_lent_again() {
    for careful in [true, false] {
        for speaks in [true, false] {
            let site = site(1);
            let lease = site.lend().await.unwrap();
            let mut far = site.accept().await;
            lease.give_back();
            if speaks {
                far.write_all(b"x").await.unwrap()
            } else {
                drop(far)
            }
            // The event loop hears of it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let wanted = Wanted {
                careful,
                ..site.wanted()
            };
            assert!(!site.pool.lend(wanted).await.unwrap().is_reused());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn old_and_long_idle_connections_are_not_lent_again() {
    let mut site = site(1);
    site.limits.max_age = Limit::from_secs(10);
    site.lend().await.unwrap().give_back();
    tokio::time::sleep(Duration::from_millis(2900)).await;
    site.lend().await.unwrap().give_back();
    tokio::time::sleep(Duration::from_millis(3000)).await;
    let lease = site.lend().await.unwrap();
    assert!(!lease.is_reused(), "idle for too long");
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(1000)).await;
    }
    lease.give_back();
    let lease = site.lend().await.unwrap();
    assert!(lease.is_reused());
    tokio::time::sleep(Duration::from_secs(6)).await;
    lease.give_back();
    assert!(!site.lend().await.unwrap().is_reused(), "too old");
}

/// Where requests always wait, no connection is ever idle.
#[tokio::test(start_paused = true)]
async fn an_old_connection_is_not_handed_to_one_who_waits() {
    let mut site = site(1);
    site.limits.max_age = Limit::from_secs(10);
    let lease = site.lend().await.unwrap();
    let mut second = Box::pin(site.lend());
    assert!(poll!(&mut second).is_pending());
    tokio::time::sleep(Duration::from_secs(10)).await;
    lease.give_back();
    assert!(!second.await.unwrap().is_reused());
}

#[tokio::test(start_paused = true)]
async fn sweeping_closes_what_would_not_be_lent() {
    let site = site(3);
    let leases = [
        site.lend().await.unwrap(),
        site.lend().await.unwrap(),
        site.lend().await.unwrap(),
    ];
    let far = [
        site.accept().await,
        site.accept().await,
        site.accept().await,
    ];
    let [first, second, third] = leases;
    first.give_back();
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.give_back();
    third.give_back();
    let [_, _, left] = far;
    drop(left);
    tokio::time::sleep(Duration::from_secs(2)).await;
    site.pool.sweep(&site.limits, None);
    assert_eq!(site.pool.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_keeps_nothing() {
    let site = site(2);
    let lease = site.lend().await.unwrap();
    site.lend().await.unwrap().give_back();
    site.pool.close();
    assert_eq!(site.pool.counts(), (1, 0));
    lease.give_back();
    assert_eq!(site.pool.counts(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_connect_and_a_switch_free_their_places() {
    let site = site(1);
    let lease = site.lend().await.unwrap();
    let mut second = Box::pin(site.lend());
    assert!(poll!(&mut second).is_pending());
    let connection = lease.into_connection();
    let second = second.await.unwrap();
    drop((connection, second));

    let nowhere = Arc::new(Pool::new(Address::Unix(
        std::path::Path::new("/nowhere").into(),
    )));
    for _ in 0..3 {
        let error = nowhere.lend(site.wanted()).await.err().unwrap();
        assert_eq!(error.reason(), CONNECT_FAILED);
        assert_eq!(nowhere.counts(), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_connection_takes_the_place_of_an_idle_one() {
    let site = site(1);
    site.lend().await.unwrap().give_back();
    let wanted = Wanted {
        fresh: true,
        ..site.wanted()
    };
    let lease = site.pool.lend(wanted).await.unwrap();
    assert!(!lease.is_reused());
    assert_eq!(site.pool.counts(), (1, 0));
}

/// Threads that lend, give back, drop and leave the line at the worst moments: nobody waits for ever, the limit
/// holds, and no place is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_forgotten_in_the_crowd() {
    const LIMIT: usize = 2;
    let mut site = site(LIMIT);
    site.limits.max_pending = 100;
    let site = Arc::new(site);
    let lent = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let accepting = tokio::spawn({
        let (site, done) = (site.clone(), done.clone());
        async move {
            let mut far = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let accepted = tokio::time::timeout(Duration::from_millis(20), site.accept());
                far.extend(accepted.await);
            }
        }
    });
    let requests = (0..8u64).map(|task| {
        let (site, lent) = (site.clone(), lent.clone());
        tokio::spawn(async move {
            for round in 0..1500u64 {
                let leaves = (task + round) % 7 == 0;
                let lending = site.lend();
                let lease = if leaves {
                    match tokio::time::timeout(Duration::ZERO, lending).await {
                        Ok(lease) => lease.unwrap(),
                        Err(_) => continue,
                    }
                } else {
                    lending.await.unwrap()
                };
                assert!(lent.fetch_add(1, Ordering::SeqCst) < LIMIT);
                if round % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                lent.fetch_sub(1, Ordering::SeqCst);
                if (task * round) % 50 == 1 {
                    drop(lease)
                } else {
                    lease.give_back()
                }
            }
        })
    });
    let all = futures_util::future::join_all(requests.collect::<Vec<_>>());
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    done.store(true, Ordering::SeqCst);
    for request in all.expect("somebody waits for ever") {
        request.unwrap();
    }
    accepting.await.unwrap();
    let (open, idle) = site.pool.counts();
    assert!(open <= LIMIT && open == idle, "{open} {idle}");
}

/// The connection becomes idle just while a request lines up for one, and nothing happens afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_not_overlooked_by_one_who_lines_up() {
    let site = Arc::new(site(1));
    let _accepting = tokio::spawn({
        let site = site.clone();
        async move {
            let mut far = Vec::new();
            loop {
                far.push(site.accept().await);
            }
        }
    });
    let meet = Arc::new(std::sync::Barrier::new(2));
    for _ in 0..300 {
        let lease = site.lend().await.unwrap();
        let giving = tokio::spawn({
            let meet = meet.clone();
            async move {
                meet.wait();
                lease.give_back();
            }
        });
        meet.wait();
        let lending = tokio::time::timeout(Duration::from_secs(5), site.lend());
        lending
            .await
            .expect("it was overlooked")
            .unwrap()
            .give_back();
        giving.await.unwrap();
    }
}
