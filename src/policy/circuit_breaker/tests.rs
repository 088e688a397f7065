use super::*;
use crate::body::Body;
use crate::error::{
    CONNECT_FAILED, DEADLINE_EXCEEDED, NO_HEALTHY_ENDPOINT, OVERLOADED, REQUEST_TIMEOUT,
    UPSTREAM_RESET, UPSTREAM_TIMEOUT,
};
use crate::message::Response;
use crate::policy::stack::{Answer, Handler, Kept, Policy};
use crate::telemetry::metrics::tests::rendered;
use crate::testing::{headers, request};
use crate::timer;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;
use std::sync::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// One route's breaker, over as many configs as the test brings.
#[derive(Default)]
struct Route {
    kept: Kept,
}

impl Route {
    fn with(&mut self, config: &str) -> CircuitBreaker {
        let mut next = Kept::default();
        let mut build = Build::new("r".into(), &self.kept, &mut next);
        let policy = CircuitBreaker::new(&toml::from_str(config).unwrap(), &mut build);
        self.kept = next;
        policy
    }
}

fn breaker(config: &str) -> CircuitBreaker {
    Route::default().with(config)
}

/// What the upstream does next.
struct Upstream(Mutex<Option<Result<Box<Response>, Error>>>);

impl Handler for Upstream {
    fn call<'a>(&'a self, _: Box<Request>) -> Answer<'a> {
        match self.0.lock().unwrap().take() {
            Some(outcome) => Box::pin(std::future::ready(outcome)),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn answer(status: u16) -> Box<Response> {
    let status = StatusCode::from_u16(status).unwrap();
    Box::new(Response::new(status, Body::empty()))
}

fn streaming(frames: Vec<Result<Frame<Bytes>, Error>>) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(trailers)
}

fn grpc() -> Box<Request> {
    let mut request = request("POST", "/a.B/C");
    request.headers = headers(&[("content-type", "application/grpc+proto")]);
    request
}

impl CircuitBreaker {
    async fn call(
        &self,
        request: Box<Request>,
        outcome: Result<Box<Response>, Error>,
    ) -> Result<Box<Response>, Error> {
        let upstream = Upstream(Mutex::new(Some(outcome)));
        self.apply(request, &upstream).await
    }

    /// Calls an upstream that answers so; whether it was called.
    async fn meets(&self, status: u16) -> bool {
        match self.call(request("GET", "/"), Ok(answer(status))).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.reason(), CIRCUIT_OPEN);
                false
            }
        }
    }

    async fn meets_error(&self, reason: Reason) {
        let error = Error::new(reason, "");
        let error = self.call(request("GET", "/"), Err(error)).await.err();
        assert_eq!(error.unwrap().reason(), reason);
    }

    fn shown(&self) -> Value {
        self.0.state()
    }

    fn is(&self, state: &str) -> bool {
        self.shown()["state"] == state
    }

    fn failures(&self) -> u64 {
        self.shown()["consecutive_failures"].as_u64().unwrap()
    }
}

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
    let first = breaker.apply(request("GET", "/"), &never);
    let second = breaker.apply(request("GET", "/"), &never);
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
    timer::drop_overdue(second);
    assert!(breaker.is("closed"));
}

#[tokio::test(start_paused = true)]
async fn only_what_the_upstream_is_to_blame_for_counts() {
    let breaker = breaker("consecutive_failures = 99");
    for (reason, failures) in [
        (CONNECT_FAILED, 1),
        (UPSTREAM_RESET, 2),
        (UPSTREAM_TIMEOUT, 3),
        (NO_HEALTHY_ENDPOINT, 4),
        (DEADLINE_EXCEEDED, 5),
        (OVERLOADED, 5),
        (REQUEST_TIMEOUT, 5),
    ] {
        breaker.meets_error(reason).await;
        assert_eq!(breaker.failures(), failures, "{reason:?}");
    }
    assert!(breaker.meets(429).await);
    assert_eq!(breaker.failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_config_says_what_is_a_failure() {
    let breaker = breaker("consecutive_failures = 99\nfailures = [\"connect\", 429, \"507\"]");
    for (status, failures) in [(500, 0), (429, 1), (507, 2)] {
        assert!(breaker.meets(status).await);
        assert_eq!(breaker.failures(), failures, "{status}");
    }
    breaker.meets_error(CONNECT_FAILED).await;
    assert_eq!(breaker.failures(), 3);
    breaker.meets_error(UPSTREAM_RESET).await;
    assert_eq!(breaker.failures(), 0, "to blame, but not asked for");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_judged_at_its_end() {
    let breaker = breaker("consecutive_failures = 99");
    breaker.meets_error(UPSTREAM_RESET).await;
    let piece = || Ok(Frame::data(Bytes::from("a")));
    let call = async |frames| {
        let mut response = answer(200);
        response.body = streaming(frames);
        breaker.call(request("GET", "/"), Ok(response)).await
    };
    let cut = vec![piece(), Err(Error::new(UPSTREAM_RESET, "cut"))];
    let mut body = call(cut).await.unwrap().body;
    body.frame().await.unwrap().unwrap();
    assert_eq!(breaker.failures(), 1, "nothing is known yet");
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(breaker.failures(), 2);
    // A caller that goes away says nothing; a limit that passes does.
    drop(call(vec![piece(), piece()]).await);
    assert_eq!(breaker.failures(), 2);
    timer::drop_overdue(call(vec![piece(), piece()]).await);
    assert_eq!(breaker.failures(), 3);
    call(vec![piece()])
        .await
        .unwrap()
        .body
        .collect()
        .await
        .unwrap();
    assert_eq!(breaker.failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_before_its_answer_is_judged_by_why() {
    let breaker = breaker("consecutive_failures = 99");
    let never = Upstream(Mutex::new(None));
    for (overdue, failures) in [(false, 0), (true, 1)] {
        let mut call = Box::pin(breaker.apply(request("GET", "/"), &never));
        assert!(futures_util::poll!(&mut call).is_pending());
        match overdue {
            true => timer::drop_overdue(call),
            false => drop(call),
        }
        assert_eq!(breaker.failures(), failures);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_answer_is_judged_by_its_status_wherever_that_stands() {
    let breaker =
        breaker("consecutive_failures = 99\nfailure_ratio = false\nfailures = [\"grpc\"]");
    let in_head = |status: &str| {
        let mut response = answer(200);
        response.headers = headers(&[("grpc-status", status)]);
        response
    };
    for (status, failures) in [("14", 1), ("13", 2), ("5", 0), ("2", 1), ("0", 0)] {
        breaker.call(grpc(), Ok(in_head(status))).await.unwrap();
        assert_eq!(breaker.failures(), failures, "{status} in the head");
    }
    let message = || Ok(Frame::data(Bytes::from("message")));
    for (end, failures) in [(Some("14"), 1), (Some("4"), 2), (None, 3), (Some("3"), 0)] {
        let mut response = answer(200);
        let end = end.map(|status| Ok(trailers(status)));
        response.body = streaming([message()].into_iter().chain(end).collect());
        let mut response = breaker.call(grpc(), Ok(response)).await.unwrap();
        while response.body.frame().await.is_some() {}
        assert_eq!(breaker.failures(), failures);
    }
    // The time that has passed is the caller's own, and shorter than the route's.
    let mut hurried = grpc();
    hurried.context.hurried = true;
    breaker.call(hurried, Ok(in_head("4"))).await.unwrap();
    assert_eq!(breaker.failures(), 0);
    // An answer that is over without one.
    breaker.call(grpc(), Ok(answer(200))).await.unwrap();
    assert_eq!(breaker.failures(), 1);
    breaker.call(grpc(), Ok(in_head("0"))).await.unwrap();
    // Who does not speak gRPC does not mean it.
    breaker
        .call(request("GET", "/"), Ok(in_head("14")))
        .await
        .unwrap();
    assert_eq!(breaker.failures(), 0);
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
    let mut before = Box::pin(breaker.apply(request("GET", "/"), &never));
    assert!(futures_util::poll!(&mut before).is_pending());
    assert!(breaker.meets(500).await);
    tokio::time::advance(SECOND).await;
    assert!(breaker.meets(200).await);
    assert!(breaker.is("closed"));
    timer::drop_overdue(before);
    assert!(breaker.is("closed"));
}

#[tokio::test(start_paused = true)]
async fn new_thresholds_apply_to_what_was_seen() {
    let mut route = Route::default();
    let first =
        route.with("consecutive_failures = 5\nrecovery_timeout = \"1h\"\nmax_recovery = \"1h\"");
    for _ in 0..3 {
        assert!(first.meets(500).await);
    }
    let stricter =
        route.with("consecutive_failures = 4\nrecovery_timeout = \"1h\"\nmax_recovery = \"1h\"");
    assert!(stricter.meets(500).await);
    assert!(!stricter.meets(200).await);
    // It has been open for ten seconds, of an hour that became ten seconds.
    tokio::time::advance(10 * SECOND).await;
    assert!(!stricter.meets(200).await);
    let quicker = route.with("recovery_timeout = \"10s\"");
    assert!(quicker.meets(200).await);
    assert!(quicker.is("closed"));
}

#[tokio::test(start_paused = true)]
async fn an_operator_has_the_last_word() {
    let mut route = Route::default();
    let breaker = route.with("consecutive_failures = 2");
    let facts = route.kept.of::<Facts>("r".into()).unwrap();
    facts.force(Forced::Open);
    assert!(!breaker.meets(200).await);
    tokio::time::advance(3_600 * SECOND).await;
    assert!(!breaker.meets(200).await);
    assert_eq!(breaker.shown()["forced"], true);
    let breaker = route.with("consecutive_failures = 3");
    assert!(!breaker.meets(200).await, "it outlives a reload");
    facts.force(Forced::Closed);
    for _ in 0..20 {
        assert!(breaker.meets(500).await);
    }
    assert_eq!(breaker.shown()["forced"], true);
    facts.force(Forced::No);
    assert_eq!(breaker.shown()["forced"], false);
    for _ in 0..3 {
        assert!(breaker.meets(500).await);
    }
    assert!(breaker.is("open"));
    // Letting go of what nobody holds changes nothing.
    facts.force(Forced::No);
    assert!(breaker.is("open"));
}

#[test]
fn its_state_and_its_ways_are_counted() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut kept = None;
    let text = rendered(|| {
        runtime.block_on(async {
            let breaker = breaker("consecutive_failures = 1\nrecovery_timeout = \"1s\"");
            assert!(breaker.meets(500).await);
            tokio::time::advance(SECOND).await;
            assert!(breaker.meets(500).await);
            kept = Some(breaker);
        });
    });
    for line in [
        "outrigger_circuit_breaker_state{route=\"r\"} 2",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"open\"} 2",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"half-open\"} 1",
        "outrigger_circuit_breaker_transitions_total{route=\"r\",to=\"closed\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
}

#[test]
fn mistakes_stand_at_their_keys() {
    let places = |config: &str| -> Vec<String> {
        let mut problems = Problems::default();
        toml::from_str::<Config>(config)
            .unwrap()
            .check(&mut problems);
        problems.into_vec().iter().map(|p| p.at.join(".")).collect()
    };
    assert_eq!(places(""), [""; 0]);
    assert_eq!(places("failure_ratio = 1.5"), ["failure_ratio"]);
    assert_eq!(places("failure_ratio = 0"), ["failure_ratio"]);
    assert_eq!(
        places("consecutive_failures = false\nfailure_ratio = false"),
        ["failure_ratio"]
    );
    assert_eq!(places("window = \"1ms\""), ["window"]);
    assert_eq!(places("recovery_timeout = \"10m\""), ["recovery_timeout"]);
    assert_eq!(places("failures = []"), ["failures"]);
    for (failure, says) in [
        ("\"6xx\"", "\"5xx\""),
        ("200", "from 400 to 599"),
        ("true", "a failure such as"),
    ] {
        let error = toml::from_str::<Config>(&format!("failures = [{failure}]")).unwrap_err();
        assert!(error.to_string().contains(says), "{failure}: {error}");
    }
    let config: Config =
        toml::from_str("failures = [429, \"5xx\", \"grpc\", \"graphql\"]").unwrap();
    assert_eq!(
        json!(config.failures),
        json!(["429", "5xx", "grpc", "graphql"])
    );
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
