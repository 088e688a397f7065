//! When a breaker opens, whom it lets through then, and when it closes again.

use http_body_util::BodyExt;
use proptest::prelude::*;

use super::*;

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it() {
    let breaker = breaker("consecutive_failures = 3");
    for status in [500, 503, 200, 500, 502] {
        assert!(breaker.meets(status).await);
    }
    assert!(breaker.is("closed"));
    assert!(breaker.meets(504).await);
    assert!(breaker.is("open"));
    let refused = breaker.call(request("GET", "/"), Ok(answer(200))).await;
    let error = refused.err().unwrap();
    assert_eq!(error.reason(), CIRCUIT_OPEN);
    let (name, seconds) = &error.headers()[0];
    assert_eq!(name, "retry-after");
    let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
    assert!((27..=30).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn failures_among_many_open_it() {
    let breaker = breaker("consecutive_failures = false\nfailure_ratio = 0.3\nmin_requests = 10");
    for n in 0..9 {
        assert!(breaker.meets(if n < 3 { 500 } else { 200 }).await);
    }
    assert!(breaker.is("closed"), "nine are too few");
    // A minute later they are forgotten.
    tokio::time::advance(60 * SECOND).await;
    for n in 0..10 {
        assert!(breaker.meets(if n % 5 == 4 { 500 } else { 200 }).await);
        tokio::time::advance(SECOND / 10).await;
    }
    assert!(breaker.is("closed"), "two of ten");
    for _ in 0..2 {
        assert!(breaker.meets(500).await);
    }
    assert!(breaker.is("open"), "four of twelve");
}

#[tokio::test(start_paused = true)]
async fn a_few_are_tried_after_a_time_that_doubles() {
    let breaker = breaker(
        "consecutive_failures = 1\nrecovery_timeout = \"10s\"\nmax_recovery = \"25s\"\nhalf_open_requests = 2",
    );
    assert!(breaker.meets(500).await);
    for nominal in [10, 20, 25, 25] {
        tokio::time::advance(nominal * SECOND * 9 / 10 - SECOND / 100).await;
        assert!(!breaker.meets(200).await, "less than 90 % of {nominal} s");
        tokio::time::advance(nominal * SECOND / 10 + SECOND / 100).await;
        assert!(breaker.meets(200).await);
        assert!(breaker.is("half-open"), "one of two");
        assert!(breaker.meets(500).await);
        assert!(breaker.is("open"));
    }
    tokio::time::advance(25 * SECOND).await;
    for _ in 0..2 {
        assert!(breaker.meets(200).await);
    }
    assert!(breaker.is("closed"));
    // It begins anew.
    assert!(breaker.meets(500).await);
    tokio::time::advance(10 * SECOND).await;
    assert!(breaker.meets(200).await);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_few_are_tried_at_once() {
    let breaker =
        breaker("consecutive_failures = 1\nrecovery_timeout = \"1s\"\nhalf_open_requests = 2");
    assert!(breaker.meets(500).await);
    tokio::time::advance(SECOND).await;
    let never = Upstream(Mutex::new(None));
    let exchange = exchange();
    let below = || Next::new(&never, exchange);
    let first = breaker.apply(request("GET", "/"), below());
    let second = breaker.apply(request("GET", "/"), below());
    let (mut first, mut second) = (Box::pin(first), Box::pin(second));
    assert!(futures_util::poll!(&mut first).is_pending());
    assert!(futures_util::poll!(&mut second).is_pending());
    assert!(!breaker.meets(200).await);
    // A caller that goes away makes room for another.
    drop(first);
    assert!(breaker.meets(200).await);
    assert!(!breaker.meets(200).await);
    // So does one that takes too long, and what it says later does not count.
    tokio::time::advance(SECOND).await;
    for _ in 0..2 {
        assert!(breaker.meets(200).await);
    }
    assert!(breaker.is("closed"));
    exchange.cut(second, Why::Overdue);
    assert!(breaker.is("closed"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_lasts_for_hours_closes_the_breaker_at_its_beginning() {
    for (request, to_read) in [(request("GET", "/"), 0), (grpc(), 1)] {
        let breaker = breaker(
            "consecutive_failures = 1\nrecovery_timeout = \"1s\"\nfailures = [\"5xx\", \"grpc\"]",
        );
        assert!(breaker.meets(500).await);
        tokio::time::advance(SECOND).await;
        let mut response = answer(200);
        response.body = streaming(vec![Ok(Frame::data(Bytes::from("a"))), Ok(trailers("14"))]);
        let mut response = breaker.call(request, Ok(response)).await.unwrap();
        for _ in 0..to_read {
            assert!(breaker.is("half-open"));
            response.body.frame().await.unwrap().unwrap();
        }
        assert!(breaker.is("closed"));
        drop(response);
        assert!(breaker.is("closed"));
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_were_under_way_when_it_opened_do_not_count_any_more() {
    let breaker = breaker("consecutive_failures = 1\nrecovery_timeout = \"1s\"");
    let never = Upstream(Mutex::new(None));
    let below = Next::new(&never, exchange());
    let mut before = Box::pin(breaker.apply(request("GET", "/"), below));
    assert!(futures_util::poll!(&mut before).is_pending());
    assert!(breaker.meets(500).await);
    tokio::time::advance(SECOND).await;
    assert!(breaker.meets(200).await);
    assert!(breaker.is("closed"));
    below.exchange.cut(before, Why::Overdue);
    assert!(breaker.is("closed"));
}

proptest! {
    /// Whatever happens, a breaker that is half-open has no more requests under way than it may, and one that is
    /// open has a time at which it is not.
    #[test]
    fn a_breaker_never_wedges_and_never_lets_through_too_many(
        probes in 1u32..4,
        steps in proptest::collection::vec((0u8..5, 0u64..400), 1..200),
    ) {
        let thresholds = Thresholds {
            consecutive_failures: Some(2),
            failure_ratio: Some(0.5),
            min_requests: 3,
            window: 1_000,
            recovery: 300,
            max_recovery: 1_000,
            probes,
        };
        let breaker = Breaker::default();
        let (mut now, mut under_way) = (0, Vec::new());
        for (step, pause) in steps {
            now += pause;
            match (step, under_way.len()) {
                (0 | 1, _) => under_way.extend(breaker.admit(now, &thresholds, |_| ())),
                (_, 0) => {}
                (2, n) => breaker.succeeded(under_way.swap_remove(pause as usize % n), now, &thresholds, |_| ()),
                (3, n) => breaker.failed(under_way.swap_remove(pause as usize % n), now, &thresholds, 0.5, |_| ()),
                (_, n) => breaker.abandoned(under_way.swap_remove(pause as usize % n)),
            }
            let look = breaker.look(now, &thresholds);
            prop_assert!(look.wait.unwrap_or_default() <= thresholds.max_recovery);
            if look.state == State::HalfOpen {
                let newest = under_way.iter().map(|permit| permit.turn()).max();
                let current = under_way.iter().filter(|permit| permit.is_probe());
                let current = current.filter(|permit| Some(permit.turn()) == newest).count();
                prop_assert!(current <= probes as usize, "{current} of {probes}");
            }
        }
        // However it stands, some time later a request gets through.
        prop_assert!(breaker.admit(now + 1_000, &thresholds, |_| ()).is_ok());
    }
}
