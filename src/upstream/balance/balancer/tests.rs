//! Shares, avoidance and stability of every balancer.

use super::*;
use crate::upstream::endpoints::address::Address;
use crate::upstream::fake::{answered, list};
use crate::upstream::health::standing::Mark;
use crate::upstream::{Endpoint, EndpointList, Listed, LoadGuard};
use proptest::prelude::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn unmarked(entry: &Listed) -> bool {
    entry.endpoint.standing.marks().none()
}

fn hash() -> BalancerConfig {
    BalancerConfig::Hash(CallerKey::ClientIp)
}

fn all() -> [BalancerConfig; 5] {
    [
        BalancerConfig::PeakEwma,
        BalancerConfig::LeastRequest,
        BalancerConfig::RoundRobin,
        BalancerConfig::Random,
        hash(),
    ]
}

/// How often each is picked in `count` requests of different callers, one after the other.
fn picks(balancer: BalancerConfig, list: &EndpointList, count: u64) -> Vec<u64> {
    let balancer = Balancer::new(balancer);
    let mut picks = vec![0; list.entries().len()];
    let now = Instant::now();
    for request in 0..count {
        let picked = balancer
            .pick(list, Some(mix(request)), now, unmarked)
            .unwrap();
        picks[index_of(list, picked)] += 1;
    }
    picks
}

fn endpoint_at(list: &EndpointList, index: usize) -> &Arc<Endpoint> {
    &list.entries()[index].endpoint
}

fn index_of(list: &EndpointList, endpoint: &Arc<Endpoint>) -> usize {
    let is = |entry: &Listed| Arc::ptr_eq(&entry.endpoint, endpoint);
    list.entries().iter().position(is).unwrap()
}

#[test]
fn requests_spread_by_weight() {
    for weights in [&[1, 1, 1, 1][..], &[1, 2, 5][..], &[1000, 10]] {
        let total: u32 = weights.iter().sum();
        for balancer in all() {
            let list = list(weights);
            let counts = picks(balancer.clone(), &list, 20_000);
            for (count, weight) in counts.iter().zip(weights) {
                let expected = 20_000.0 * f64::from(*weight) / f64::from(total);
                let margin = 6.0 * expected.sqrt();
                let off = (*count as f64 - expected).abs();
                assert!(off < margin, "{balancer:?} {weights:?}: {counts:?}");
            }
        }
    }
}

#[test]
fn turns_are_exact() {
    assert_eq!(
        picks(BalancerConfig::RoundRobin, &list(&[1, 1, 1]), 300),
        [100; 3]
    );
    assert_eq!(
        picks(BalancerConfig::RoundRobin, &list(&[2, 1]), 300),
        [200, 100]
    );
    let list = list(&[1, 1, 1]);
    list.entries()[1].endpoint.standing.mark(Mark::Ejected);
    assert_eq!(picks(BalancerConfig::RoundRobin, &list, 300), [150, 0, 150]);
}

#[test]
fn a_busy_endpoint_gets_less() {
    for balancer in [BalancerConfig::PeakEwma, BalancerConfig::LeastRequest] {
        let (list, now) = (list(&[1, 1, 1]), Instant::now());
        for index in 0..3 {
            answered(endpoint_at(&list, index), now, MS);
        }
        let _busy: Vec<LoadGuard> = (0..10)
            .map(|_| LoadGuard::new(list.entries()[0].endpoint.clone(), now))
            .collect();
        let counts = picks(balancer, &list, 3000);
        assert_eq!(counts[0], 0, "{counts:?}");
    }
}

#[test]
fn load_follows_weight_when_it_grows() {
    for balancer in [BalancerConfig::PeakEwma, BalancerConfig::LeastRequest] {
        let (list, now) = (list(&[3, 1]), Instant::now());
        for index in 0..2 {
            answered(endpoint_at(&list, index), now, MS);
        }
        let balancer = Balancer::new(balancer);
        let guards: Vec<LoadGuard> = (0..400)
            .map(|_| {
                LoadGuard::new(
                    balancer.pick(&list, None, now, unmarked).unwrap().clone(),
                    now,
                )
            })
            .collect();
        let light = list.entries()[1].endpoint.load.in_flight();
        assert!((60..=140).contains(&light), "{light} of {}", guards.len());
    }
}

#[test]
fn a_slow_endpoint_is_left_alone_and_tried_again_later() {
    let (list, start) = (list(&[1, 1]), Instant::now());
    answered(endpoint_at(&list, 0), start, MS);
    answered(endpoint_at(&list, 1), start, 200 * MS);
    let balancer = Balancer::new(BalancerConfig::PeakEwma);
    let picked = |now| {
        let picked = balancer.pick(&list, None, now, unmarked).unwrap();
        let index = index_of(&list, picked);
        answered(endpoint_at(&list, index), now, MS);
        index
    };
    let soon = start + 200 * MS;
    assert!((0..100).all(|nth| picked(soon + nth * 10 * MS) == 0));
    let later = start + Duration::from_secs(90);
    assert!((0..100).any(|nth| picked(later + nth * 10 * MS) == 1));
}

#[test]
fn a_cold_start_spreads_over_all() {
    for balancer in all() {
        let (list, now) = (list(&[1; 8]), Instant::now());
        let balancer = Balancer::new(balancer);
        let _guards: Vec<LoadGuard> = (0..80)
            .map(|nth| {
                let picked = balancer.pick(&list, Some(mix(nth)), now, unmarked).unwrap();
                LoadGuard::new(picked.clone(), now)
            })
            .collect();
        let most = list.entries().iter().map(|e| e.endpoint.load.in_flight());
        assert!(most.max().unwrap() < 30, "{:?}", balancer.config);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_endpoint_does_not_draw_all_requests() {
    let list = list(&[1, 1]);
    let balancer = Balancer::new(BalancerConfig::PeakEwma);
    let mut failures = 0;
    for _ in 0..1000 {
        let now = Instant::now();
        let picked = balancer.pick(&list, None, now, unmarked).unwrap();
        match index_of(&list, picked) {
            0 => answered(picked, now, 20 * MS),
            _ => {
                failures += 1;
                picked.load.failed(Duration::ZERO, now);
            }
        }
        tokio::time::advance(MS).await;
    }
    assert!(failures <= 1, "{failures}");
}

#[test]
fn a_caller_without_a_key_goes_anywhere() {
    let (list, balancer) = (list(&[1, 1]), Balancer::new(hash()));
    let now = Instant::now();
    let picked = |_| index_of(&list, balancer.pick(&list, None, now, unmarked).unwrap());
    let picked: Vec<usize> = (0..100).map(picked).collect();
    assert!(picked.contains(&0) && picked.contains(&1));
}

#[test]
fn a_loss_moves_only_the_callers_of_the_lost() {
    for weights in [[1; 5], [1, 2, 3, 4, 5]] {
        let list = list(&weights);
        let balancer = Balancer::new(hash());
        let now = Instant::now();
        let place = |key: u64| {
            let picked = balancer.pick(&list, Some(mix(key)), now, unmarked).unwrap();
            index_of(&list, picked)
        };
        let before: Vec<usize> = (0..5000).map(place).collect();
        list.entries()[2].endpoint.standing.mark(Mark::Unhealthy);
        let after: Vec<usize> = (0..5000).map(place).collect();
        let mut taken_over = [0; 5];
        for (before, after) in before.into_iter().zip(after) {
            if before == 2 {
                taken_over[after] += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert_eq!(taken_over[2], 0);
        let others = [0, 1, 3, 4];
        assert!(
            others.iter().all(|&other| taken_over[other] > 50),
            "{taken_over:?}"
        );
    }
}

/// Endpoints of a name and an address each.
fn named(endpoints: &[(&str, [u8; 4], u32)]) -> EndpointList {
    let listed = |&(name, ip, weight): &(&str, [u8; 4], u32)| Listed {
        endpoint: Arc::new(Endpoint::new(Address::Tcp((ip, 80).into()), name.into())),
        weight,
    };
    EndpointList::new(endpoints.iter().map(listed).collect())
}

#[test]
fn callers_stay_where_other_versions_send_them() {
    let key = CallerKey::try_from("header:x-user".to_owned()).unwrap();
    let balancer = Balancer::new(BalancerConfig::Hash(key.clone()));
    for (weights, expected) in [([3, 1, 2], "aaccaaccaaac"), ([1, 1, 1], "aaccaccbbbac")] {
        let list = named(&[
            ("a:80", [10, 0, 0, 1], weights[0]),
            ("b:80", [10, 0, 0, 2], weights[1]),
            ("c:80", [10, 0, 0, 3], weights[2]),
        ]);
        let place = |user: usize| {
            let mut request = crate::testing::request("GET", "/");
            request.headers = crate::testing::headers(&[("x-user", &format!("user-{user}"))]);
            let key = key.of(&request, rendezvous::hash);
            let picked = balancer.pick(&list, key, Instant::now(), unmarked).unwrap();
            picked.name.chars().next().unwrap()
        };
        assert_eq!((0..12).map(place).collect::<String>(), expected);
    }
}

#[test]
fn the_config_reads_back_as_it_was_written() {
    for text in [
        r#""peak-ewma""#,
        r#""least-request""#,
        r#""round-robin""#,
        r#""random""#,
        r#"{"hash":"header:x-user"}"#,
        r#"{"hash":"cookie:SID"}"#,
        r#"{"hash":"client-ip"}"#,
    ] {
        let config: BalancerConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }
    for text in [
        r#""hash""#,
        r#""fastest""#,
        r#"{"hash":"query:q"}"#,
        r#"{"hash":"client-ip","x":1}"#,
        "{}",
        "1",
    ] {
        assert!(
            serde_json::from_str::<BalancerConfig>(text).is_err(),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn whoever_can_be_picked_is(
        weights in proptest::collection::vec(1u32..5, 0..6),
        suspended in proptest::collection::vec(any::<bool>(), 6),
        key in proptest::option::of(any::<u64>()),
    ) {
        let list = list(&weights);
        for (entry, suspended) in list.entries().iter().zip(&suspended) {
            if *suspended {
                entry.endpoint.standing.mark(Mark::Ejected);
            }
        }
        let available = list.entries().iter().filter(|e| unmarked(e)).count();
        for balancer in all() {
            let balancer = Balancer::new(balancer);
            for _ in 0..5 {
                match balancer.pick(&list, key, Instant::now(), unmarked) {
                    None => prop_assert_eq!(available, 0),
                    Some(picked) => {
                        prop_assert!(picked.standing.marks().none());
                    }
                }
            }
        }
    }
}
