//! What is kept of requests that failed, what is forgotten, and how it is shown.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::*;
use crate::http::message::RequestId;
use crate::http::trail::{Asked, Attempted, Steps, Times};

pub(in crate::telemetry) fn failed(route: &str, reason: &'static str, nth: u64) -> Kept {
    Kept {
        ended: SystemTime::UNIX_EPOCH + Duration::from_secs(nth),
        received: Instant::now(),
        request_id: RequestId::kept(&format!("r-{nth}")),
        trace_id: None,
        listener: "web".into(),
        route: route.into(),
        source: None,
        method: Some(http::Method::GET),
        path: Some(format!("/path/{nth}").into()),
        status: 502,
        reason: Some(reason),
        detail: None,
        cause: None,
        grpc_status: None,
        upstream: None,
        endpoint: None,
        failed: true,
        slow: false,
        head: None,
        took: Duration::from_millis(250),
        steps: Steps::default(),
    }
}

fn ids(requests: &Requests, query: Query) -> Vec<String> {
    let found = requests.find(&query);
    let ids = found.iter().map(|kept| kept.request_id.as_str().to_owned());
    ids.collect()
}

#[test]
fn nothing_is_kept_before_the_first() {
    let requests = Requests::default();
    assert!(requests.find(&Query::default()).is_empty());
    let capacities = requests
        .shards
        .iter()
        .map(|s| s.lock().unwrap().kept.capacity());
    assert_eq!(capacities.sum::<usize>(), 0);
}

#[test]
fn a_flood_does_not_wash_away_what_else_fails() {
    let requests = Requests::default();
    requests.keep(failed("ship", "tls_failed", 1));
    requests.keep(failed("pay", "circuit_open", 2));
    for nth in 3..3 + 5 * MOST as u64 {
        requests.keep(failed("pay", "connect_failed", nth));
    }
    let everything = Query {
        limit: usize::MAX,
        ..Query::default()
    };
    let all = ids(&requests, everything);
    assert_eq!(all.len(), MOST);
    assert_eq!(all[0], format!("r-{}", 2 + 5 * MOST));
    assert_eq!(all[MOST - 2..], ["r-2", "r-1"]);
}

#[test]
fn a_million_failing_paths_take_no_more_than_there_is_room_for() {
    let requests = Requests::default();
    let long = "x".repeat(100_000);
    for nth in 0..1_000_000 {
        let mut kept = failed("pay", "connect_failed", nth);
        if nth % 50_000 == 0 {
            kept.cause = Some(long.clone().into());
        }
        requests.keep(kept.shortened());
    }
    let shard = requests.shards.last().unwrap().lock().unwrap();
    assert!(shard.kept.len() <= MOST);
    let bytes: usize = shard.kept.iter().map(|kept| kept.bytes()).sum();
    assert_eq!(shard.bytes, bytes);
    assert!(bytes <= MOST_BYTES);
    assert_eq!(shard.groups.values().sum::<usize>(), shard.kept.len());
}

#[test]
fn large_ones_make_room_for_themselves() {
    let requests = Requests::default();
    for nth in 0..3000 {
        let mut kept = failed("pay", "connect_failed", nth);
        kept.path = Some("p".repeat(10_000).into());
        requests.keep(kept);
    }
    let shard = requests.shards.last().unwrap().lock().unwrap();
    assert!(shard.bytes <= MOST_BYTES);
    assert!(shard.kept.len() > 90, "{}", shard.kept.len());
}

#[test]
fn they_are_found_by_what_is_known_of_them() {
    let requests = Requests::default();
    requests.keep(failed("pay", "connect_failed", 1));
    requests.keep(failed("ship", "connect_failed", 2));
    let mut slow = failed("pay", "connect_failed", 3);
    (slow.failed, slow.slow, slow.reason, slow.status) = (false, true, None, 200);
    slow.steps.attempts.push(Attempted {
        asked: Asked::Endpoint {
            upstream: "pay".into(),
            endpoint: "10.0.0.1:80".into(),
        },
        times: Times {
            began: slow.received,
            connects: 0,
            secures: 0,
            asked: 0,
            sent: true,
            ended: 1_500_000,
        },
        outcome: "timeout".into(),
        detail: None,
    });
    requests.keep(slow);
    let find = |text: &str| {
        let query: Query = toml::from_str(text).unwrap();
        ids(&requests, query)
    };
    assert_eq!(find(""), ["r-3", "r-2", "r-1"]);
    assert_eq!(find("route = 'pay'"), ["r-3", "r-1"]);
    assert_eq!(find("route = 'pay'\nslow = false"), ["r-1"]);
    assert_eq!(find("slow = true"), ["r-3"]);
    assert_eq!(find("reason = 'connect_failed'\nlimit = 1"), ["r-2"]);
    assert_eq!(find("reason = 'timeout'"), ["r-3"]);
    assert_eq!(find("reason = '502'"), ["r-2", "r-1"]);
    assert!(toml::from_str::<Query>("rout = 'pay'").is_err());
    assert!(requests.one("r-4").is_none());
    let shown = requests.one("r-3").unwrap().shown();
    assert_eq!(shown["attempts"][0]["outcome"], "timeout");
    assert_eq!(shown["attempts"][0]["phases"]["first_byte"], 1.5);
    assert_eq!(shown["seconds"], 0.25);
    assert_eq!(shown["path"], "/path/3");
}
