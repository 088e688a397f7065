//! Who is left out, who comes back and how, and what happens when nobody is left.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::http::message::Tried;
use crate::net::resolve::Resolve;
use crate::upstream::fake::{Names, request};
use crate::upstream::health::standing::Mark;
use crate::upstream::{Checked, Listed};

const SECOND: Duration = Duration::from_secs(1);

fn next(text: &str, old: Option<&Arc<Upstream>>) -> Arc<Upstream> {
    let resolver: Arc<dyn Resolve> = Arc::new(Names::default());
    let checked = Checked::new(toml::from_str(text).unwrap(), None).unwrap();
    Upstream::next(&"app".parse().unwrap(), &checked, old, &resolver)
}

/// An upstream of `count` endpoints that are taken in turn.
fn upstream(count: u8, more: &str) -> Arc<Upstream> {
    next(&text(count, more), None)
}

fn text(count: u8, more: &str) -> String {
    let endpoints: Vec<String> = (1..=count).map(|n| format!("\"10.0.0.{n}:80\"")).collect();
    let endpoints = endpoints.join(", ");
    format!("balancer = \"round-robin\"\nendpoints = [{endpoints}]\n{more}")
}

fn endpoint(upstream: &Upstream, index: usize) -> Arc<Endpoint> {
    let list = upstream.follower.set().load();
    list.entries()[index].endpoint.clone()
}

fn fail(endpoint: &Endpoint, times: u32) {
    (0..times).for_each(|_| endpoint.standing.failed());
}

fn answer(endpoint: &Endpoint) {
    endpoint.standing.answered();
    endpoint.standing.completed();
}

/// How often each endpoint is picked in `count` requests, none of which lasts.
fn picks(upstream: &Upstream, count: usize) -> Vec<usize> {
    let list = upstream.follower.set().load_full();
    let mut picks = vec![0; list.entries().len()];
    for _ in 0..count {
        let attempt = upstream.pick(&request(), None).unwrap();
        let is = |entry: &Listed| Arc::ptr_eq(&entry.endpoint, attempt.endpoint());
        picks[list.entries().iter().position(is).unwrap()] += 1;
    }
    picks
}

fn states(upstream: &Upstream) -> Vec<Availability> {
    let list = upstream.follower.set().load_full();
    let states = list.entries().iter();
    states
        .map(|e| upstream.picker.availability(&e.endpoint, Instant::now()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject() {
    let upstream = upstream(2, "");
    fail(&endpoint(&upstream, 0), 4);
    assert_eq!(picks(&upstream, 100), [50, 50]);
    answer(&endpoint(&upstream, 0));
    fail(&endpoint(&upstream, 0), 4);
    assert_eq!(
        picks(&upstream, 100),
        [50, 50],
        "an answer begins a new row"
    );
    fail(&endpoint(&upstream, 0), 1);
    assert_eq!(picks(&upstream, 100), [0, 100]);
    assert_eq!(
        states(&upstream),
        [Availability::Ejected, Availability::Available]
    );
}

#[tokio::test(start_paused = true)]
async fn an_ejection_ends_with_a_trial() {
    let upstream = upstream(2, "");
    let first = endpoint(&upstream, 0);
    fail(&first, 5);
    assert_eq!(picks(&upstream, 2), [0, 2]);
    tokio::time::advance(10 * SECOND).await;
    let under_way = loop {
        let attempt = upstream.pick(&request(), None).unwrap();
        if Arc::ptr_eq(attempt.endpoint(), &first) {
            break attempt;
        }
    };
    assert_eq!(
        picks(&upstream, 10),
        [0, 10],
        "one request at a time tries it"
    );
    drop(under_way);
    answer(&first);
    assert_eq!(picks(&upstream, 10), [5, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_its_trial_is_out_for_longer_up_to_a_limit() {
    let upstream = upstream(2, r#"outlier_detection = { max_ejection = "25s" }"#);
    let first = endpoint(&upstream, 0);
    fail(&first, 5);
    for length in [10, 20, 25, 25] {
        assert_eq!(picks(&upstream, 2), [0, 2]);
        tokio::time::advance(length * SECOND - Duration::from_millis(1)).await;
        assert_eq!(picks(&upstream, 2), [0, 2]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(picks(&upstream, 10)[0], 5, "after {length} s");
        fail(&first, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn time_in_service_shortens_the_next_ejection() {
    let upstream = upstream(2, "");
    let first = endpoint(&upstream, 0);
    first.standing.eject(Instant::now(), 4);
    tokio::time::advance(40 * SECOND).await;
    picks(&upstream, 2);
    answer(&first);
    tokio::time::advance(30 * SECOND).await;
    fail(&first, 5);
    picks(&upstream, 2);
    assert_eq!(first.standing.ejections(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_and_more_than_the_percentage_are_never_ejected() {
    for (count, percent, most) in [(1, 100, 0), (2, 50, 1), (2, 100, 1), (3, 50, 1), (3, 10, 1)]
        .into_iter()
        .chain([(3, 100, 2), (4, 50, 2), (10, 50, 5), (10, 100, 9)])
    {
        let more = format!("outlier_detection = {{ max_ejected_percent = {percent} }}");
        let upstream = upstream(count, &more);
        for index in 0..count.into() {
            fail(&endpoint(&upstream, index), 5);
        }
        picks(&upstream, 50);
        let ejected = states(&upstream)
            .into_iter()
            .filter(|s| *s == Availability::Ejected)
            .count();
        assert_eq!(ejected, most, "{percent} % of {count}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_ejected_while_the_only_other_one_is_on_trial() {
    let upstream = upstream(2, "");
    fail(&endpoint(&upstream, 0), 5);
    assert_eq!(picks(&upstream, 4), [0, 4]);
    fail(&endpoint(&upstream, 1), 5);
    assert_eq!(picks(&upstream, 4), [0, 4]);
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(picks(&upstream, 4), [2, 2]);
    answer(&endpoint(&upstream, 0));
    assert_eq!(picks(&upstream, 4), [4, 0]);
}

#[tokio::test(start_paused = true)]
async fn new_limits_apply_to_those_that_are_out() {
    let old = upstream(2, "");
    fail(&endpoint(&old, 0), 5);
    assert_eq!(picks(&old, 4), [0, 4]);
    let longer = r#"outlier_detection = { ejection = "20s" }"#;
    let longer = next(&text(2, longer), Some(&old));
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(
        states(&longer)[0],
        Availability::Ejected,
        "the fact is kept"
    );
    assert_eq!(states(&old)[0], Availability::Available);
    let off = next(&text(2, "outlier_detection = false"), Some(&longer));
    assert_eq!(picks(&off, 4), [2, 2]);
}

#[tokio::test(start_paused = true)]
async fn when_all_are_out_all_are_used() {
    let upstream = upstream(3, "");
    for index in 0..3 {
        endpoint(&upstream, index).standing.eject(Instant::now(), 1);
    }
    assert_eq!(picks(&upstream, 30), [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_wait_goes_to_nobody_who_is_unhealthy() {
    let upstream = upstream(2, "[health_check]\npath = \"/\"");
    let mut patient = request();
    patient.context.can_wait = true;
    for index in 0..2 {
        assert!(upstream.pick(&patient, None).is_ok());
        endpoint(&upstream, index).standing.mark(Mark::Unhealthy);
    }
    let error = upstream.pick(&patient, None).err().unwrap();
    assert_eq!(error.reason(), NO_HEALTHY_ENDPOINT);
    assert!(upstream.pick(&request(), None).is_ok());
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_is_preferred_to_those_a_request_has_been_to() {
    let upstream = upstream(3, "");
    let (request, tried) = (request(), Tried::default());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let attempt = upstream.pick(&request, Some(&tried)).unwrap();
        seen.insert(attempt.endpoint().name.to_string());
    }
    assert_eq!(seen.len(), 3);
    assert!(
        upstream.pick(&request, Some(&tried)).is_ok(),
        "and then any"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_beside_others_gets_its_share_little_by_little() {
    for balancer in ["round-robin", "random", "least-request", "peak-ewma"] {
        let slow = |count| {
            let text = text(count, "slow_start = \"100s\"");
            text.replace("round-robin", balancer)
        };
        let old = next(&slow(1), None);
        assert_eq!(picks(&old, 10), [10], "the first one of all bears the load");
        let new = next(&slow(2), Some(&old));
        let early = picks(&new, 4000)[1];
        assert!((50..800).contains(&early), "{balancer}: {early} of 4000");
        tokio::time::advance(50 * SECOND).await;
        let half = picks(&new, 4000)[1];
        assert!((600..2000).contains(&half), "{balancer}: {half} of 4000");
        tokio::time::advance(50 * SECOND).await;
        picks(&new, 100);
        assert!(endpoint(&new, 1).standing.marks().none(), "{balancer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_moves_to_a_new_endpoint_once() {
    let slow = |count| {
        let more = "slow_start = \"100s\"";
        text(count, more).replace("\"round-robin\"", "{ hash = \"client-ip\" }")
    };
    let old = next(&slow(3), None);
    let new = next(&slow(4), Some(&old));
    let mut moved = [0; 200];
    let mut places: Vec<String> = vec![String::new(); 200];
    for _ in 0..=20 {
        for (caller, place) in places.iter_mut().enumerate() {
            let mut request = request();
            request.context.client = Some([10, 1, 0, caller as u8].into());
            let attempt = new.pick(&request, None).unwrap();
            let picked = attempt.endpoint();
            moved[caller] += usize::from(*place != *picked.name);
            *place = picked.name.to_string();
        }
        tokio::time::advance(5 * SECOND).await;
    }
    assert!(moved.iter().all(|moves| *moves <= 2), "{moved:?}");
    let there = places
        .iter()
        .filter(|place| *place == "10.0.0.4:80")
        .count();
    assert!((20..90).contains(&there), "{there} of 200");
}
