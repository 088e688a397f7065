//! What is sent again, when, and how often.

use std::sync::Mutex;

use bytes::Bytes;
use http::StatusCode;

use super::super::build::Kept;
use super::super::stack::{Answer, Handler, Next};
use super::*;
use crate::http::error::{CONNECT_FAILED, Error, OVERLOADED, Progress, UPSTREAM_RESET};
use crate::http::exchange::Exchange;
use crate::http::message::{Response, ServedBy};
use crate::policy::table::Block;
use crate::testing::{exchange, headers, next, request};
use crate::value::problem::Problems;

const MS: Length = Length::from_millis(1);

/// What an upstream does with an attempt.
enum Act {
    Answer(u16),
    AnswerWith(u16, &'static [(&'static str, &'static str)]),
    Fail(Error),
    /// Answers after this time.
    Slow(Length, u16),
    Never,
}

/// Does one thing after the other, the last one for ever; remembers what it was sent and when.
struct Upstream {
    acts: Mutex<Vec<Act>>,
    seen: Mutex<Vec<(Instant, Bytes)>>,
}

impl Upstream {
    fn doing(acts: Vec<Act>) -> Self {
        Upstream {
            acts: Mutex::new(acts),
            seen: Mutex::default(),
        }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn bodies(&self) -> Vec<Bytes> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(_, body)| body.clone()).collect()
    }
}

impl Handler for Upstream {
    fn call<'a>(&'a self, mut request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            assert!(exchange.back().is_some());
            let act = {
                let mut acts = self.acts.lock().unwrap();
                match acts.len() {
                    1 => acts[0].again(),
                    _ => acts.remove(0),
                }
            };
            let body = std::mem::replace(&mut request.body, Body::empty());
            let body = body.collect().await?.to_bytes();
            self.seen.lock().unwrap().push((Instant::now(), body));
            let (status, fields) = match act {
                Act::Fail(error) => {
                    exchange.give_back(request);
                    return Err(error);
                }
                Act::Never => std::future::pending().await,
                Act::Slow(length, status) => {
                    tokio::time::sleep(length).await;
                    (status, &[][..])
                }
                Act::Answer(status) => (status, &[][..]),
                Act::AnswerWith(status, fields) => (status, fields),
            };
            let status = StatusCode::from_u16(status).unwrap();
            let mut response = Response::new(status, Body::empty());
            response.headers = headers(fields);
            response.served_by = Some(ServedBy {
                took: 0,
                upstream: "app".into(),
                endpoint: Some("a".into()),
                attempts: 1,
            });
            exchange.give_back(request);
            Ok(Box::new(response))
        })
    }
}

impl Act {
    fn again(&self) -> Act {
        match self {
            Act::Answer(status) => Act::Answer(*status),
            Act::AnswerWith(status, fields) => Act::AnswerWith(*status, fields),
            Act::Fail(error) => Act::Fail(Error::new(error.reason(), "").at(error.progress())),
            Act::Slow(length, status) => Act::Slow(*length, *status),
            Act::Never => Act::Never,
        }
    }
}

fn retry(text: &str) -> Retry {
    let (old, mut new) = (Kept::default(), Kept::default());
    let config = toml::from_str(text).unwrap();
    Retry::new(&config, &mut Build::new("r".into(), &old, &mut new))
}

async fn status(retry: &Retry, request: Box<Request>, upstream: &Upstream) -> u16 {
    match retry.apply(request, Each::new(&(), next(upstream))).await {
        Ok(response) => response.status.as_u16(),
        Err(error) => error.status().as_u16(),
    }
}

fn reset(progress: Progress) -> Act {
    Act::Fail(Error::new(UPSTREAM_RESET, "").at(progress))
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_up_to_the_attempts() {
    let upstream = Upstream::doing(vec![Act::Answer(503), Act::Answer(502), Act::Answer(200)]);
    assert_eq!(
        status(&retry(""), request("GET", "/"), &upstream).await,
        200
    );
    assert_eq!(upstream.count(), 3);
    let upstream = Upstream::doing(vec![Act::Answer(503)]);
    let once = retry("attempts = 1");
    assert_eq!(status(&once, request("GET", "/"), &upstream).await, 503);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_what_the_route_names_is_tried_again() {
    for (on, act, count) in [
        (r#"["503"]"#, Act::Answer(502), 1),
        (r#"["5xx"]"#, Act::Answer(599), 2),
        (r#"["429"]"#, Act::Answer(429), 2),
        (r#"["503"]"#, reset(Progress::Sent), 1),
        (r#"["reset-before-response"]"#, reset(Progress::Sent), 2),
        (
            r#"["reset-before-response"]"#,
            reset(Progress::Answering),
            1,
        ),
        (r#"["5xx"]"#, Act::Fail(Error::new(OVERLOADED, "")), 1),
    ] {
        let upstream = Upstream::doing(vec![act, Act::Answer(200)]);
        retry(&format!("on = {on}"))
            .apply(request("GET", "/"), Each::new(&(), next(&upstream)))
            .await
            .ok();
        assert_eq!(upstream.count(), count, "{on}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_processed_is_for_the_methods_named() {
    for (method, act, count) in [
        ("POST", Act::Answer(503), 1),
        ("POST", reset(Progress::Sent), 1),
        ("POST", reset(Progress::Unsent), 2),
        ("POST", Act::Fail(Error::new(CONNECT_FAILED, "")), 2),
        ("PUT", Act::Answer(503), 2),
    ] {
        let upstream = Upstream::doing(vec![act, Act::Answer(200)]);
        retry("")
            .apply(request(method, "/"), Each::new(&(), next(&upstream)))
            .await
            .ok();
        assert_eq!(upstream.count(), count, "{method}");
    }
    let upstream = Upstream::doing(vec![Act::Answer(503), Act::Answer(200)]);
    let posts = retry("methods = [\"POST\"]");
    assert_eq!(status(&posts, request("POST", "/"), &upstream).await, 200);
}

#[tokio::test(start_paused = true)]
async fn what_one_attempt_has_sent_stays_sent() {
    let refused = || Act::Fail(Error::new(CONNECT_FAILED, ""));
    for (first, progress) in [
        (Act::Answer(503), Progress::Sent),
        (reset(Progress::Sent), Progress::Sent),
        (refused(), Progress::Unsent),
    ] {
        let upstream = Upstream::doing(vec![first, refused()]);
        let outcome = retry("methods = [\"POST\"]\nattempts = 2")
            .apply(request("POST", "/"), Each::new(&(), next(&upstream)))
            .await;
        assert_eq!(upstream.count(), 3);
        assert_eq!(outcome.unwrap_err().progress(), progress);
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_calls_go_by_their_status() {
    const UNAVAILABLE: &[(&str, &str)] = &[("grpc-status", "14")];
    let call_as = |kind: &str| {
        let mut call = request("POST", "/");
        call.headers = headers(&[("content-type", kind)]);
        call
    };
    let call = || call_as("application/grpc");
    let doing = || Upstream::doing(vec![Act::AnswerWith(200, UNAVAILABLE), Act::Answer(200)]);
    let by_status = retry("on = [\"grpc:unavailable\"]");
    let upstream = doing();
    status(&by_status, call(), &upstream).await;
    assert_eq!(upstream.count(), 2);
    let upstream = doing();
    status(&by_status, call_as("application/grpc-web"), &upstream).await;
    assert_eq!(upstream.count(), 2, "a page's call");
    let upstream = doing();
    status(&by_status, request("POST", "/"), &upstream).await;
    assert_eq!(upstream.count(), 1, "no call of gRPC");
    let upstream = doing();
    status(&retry(""), call(), &upstream).await;
    assert_eq!(upstream.count(), 1, "not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_whole_or_not_at_all() {
    let sized = |length: usize| {
        let mut request = request("PUT", "/");
        let body = http_body_util::Full::new(Bytes::from(vec![b'x'; length]));
        request.body = Body::stream(body.map_err(|never| match never {}));
        request
    };
    let small = retry("max_body = \"1KiB\"");
    let upstream = Upstream::doing(vec![Act::Answer(503), Act::Answer(200)]);
    assert_eq!(status(&small, sized(1024), &upstream).await, 200);
    assert_eq!(upstream.bodies(), [vec![b'x'; 1024], vec![b'x'; 1024]]);
    let upstream = Upstream::doing(vec![Act::Answer(503), Act::Answer(200)]);
    assert_eq!(status(&small, sized(1025), &upstream).await, 503);
    assert_eq!(upstream.bodies(), [vec![b'x'; 1025]]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_counts_as_504() {
    let limited = retry("per_try_timeout = \"100ms\"");
    let upstream = Upstream::doing(vec![Act::Never, Act::Answer(200)]);
    assert_eq!(status(&limited, request("GET", "/"), &upstream).await, 200);
    let upstream = Upstream::doing(vec![Act::Never]);
    assert_eq!(status(&limited, request("GET", "/"), &upstream).await, 504);
    assert_eq!(upstream.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_drawn_and_grows_to_a_limit() {
    let patient = retry("attempts = 4\nbackoff = \"100ms\"\nmax_backoff = \"200ms\"");
    let mut longest = [Length::ZERO; 4];
    for _ in 0..60 {
        patient.facts.budget.deposit(4.0);
        let upstream = Upstream::doing(vec![Act::Answer(503)]);
        status(&patient, request("GET", "/"), &upstream).await;
        let seen = upstream.seen.lock().unwrap();
        for (nth, two) in seen.windows(2).enumerate() {
            longest[nth] = longest[nth].max(two[1].0 - two[0].0);
        }
    }
    // Each is missed with a chance of 2 to the minus 60.
    for (longest, limit) in longest.into_iter().zip([100, 200, 200, 200]) {
        assert!(
            longest > limit / 2 * MS && longest <= (limit + 2) * MS,
            "{longest:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_gets_the_wait_that_it_asks_for_if_there_is_time() {
    const LATER: &[(&str, &str)] = &[("retry-after", "2")];
    let doing = || Upstream::doing(vec![Act::AnswerWith(503, LATER), Act::Answer(200)]);
    let (upstream, started) = (doing(), Instant::now());
    assert_eq!(
        status(&retry(""), request("GET", "/"), &upstream).await,
        200
    );
    assert!(started.elapsed() >= 2000 * MS);
    let soon = Some(Instant::now() + 1500 * MS);
    for (deadline, head_by) in [(soon, None), (None, soon)] {
        let limits = Limits {
            deadline,
            head_by,
            hurried: false,
        };
        let (upstream, exchange) = (doing(), exchange().limited(&limits, None));
        let below = Each::new(&(), Next::new(&upstream, &exchange));
        let answer = retry("").apply(request("GET", "/"), below).await;
        assert_eq!(answer.unwrap().status, 503);
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_affords_no_more_than_its_budget() {
    let retry = retry("budget = 0.5");
    let upstream = Upstream::doing(vec![Act::Answer(503)]);
    for _ in 0..100 {
        status(&retry, request("GET", "/"), &upstream).await;
    }
    let retries = upstream.count() - 100;
    // Its reserve, its share, and what came back while it waited.
    assert!((60..=75).contains(&retries), "{retries}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_attempt_gets_company() {
    let hedged = retry("hedge_after = \"50ms\"");
    let started = Instant::now();
    let upstream = Upstream::doing(vec![Act::Never, Act::Answer(200)]);
    assert_eq!(status(&hedged, request("GET", "/"), &upstream).await, 200);
    assert!(started.elapsed() <= 52 * MS);
    let upstream = Upstream::doing(vec![Act::Slow(40 * MS, 200), Act::Answer(500)]);
    assert_eq!(status(&hedged, request("GET", "/"), &upstream).await, 200);
    assert_eq!(upstream.count(), 1, "in time");
    let upstream = Upstream::doing(vec![Act::Never, Act::Answer(200)]);
    let posted = retry("hedge_after = \"50ms\"\nper_try_timeout = \"1s\"");
    assert_eq!(status(&posted, request("POST", "/"), &upstream).await, 504);
    assert_eq!(upstream.count(), 1, "not idempotent");
}

#[tokio::test(start_paused = true)]
async fn a_failed_hedge_leaves_the_first_attempt_its_time() {
    let hedged = retry("hedge_after = \"50ms\"");
    let upstream = Upstream::doing(vec![Act::Slow(200 * MS, 200), Act::Answer(503)]);
    assert_eq!(status(&hedged, request("GET", "/"), &upstream).await, 200);
    assert_eq!(upstream.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_twentieth_is_learnt() {
    let hedged = retry("hedge_after = \"p95\"");
    let usual = Upstream::doing(vec![Act::Slow(20 * MS, 200)]);
    for _ in 0..130 {
        status(&hedged, request("GET", "/"), &usual).await;
    }
    let started = Instant::now();
    let upstream = Upstream::doing(vec![Act::Never, Act::Answer(200)]);
    assert_eq!(status(&hedged, request("GET", "/"), &upstream).await, 200);
    assert!(started.elapsed() < 40 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_was_spent_is_spent_after_a_reload() {
    let (old, mut kept) = (Kept::default(), Kept::default());
    let config = Config::default();
    let first = Retry::new(&config, &mut Build::new("r".into(), &old, &mut kept));
    while first.facts.budget.withdraw() {}
    let mut newer = Kept::default();
    let second = Retry::new(&config, &mut Build::new("r".into(), &kept, &mut newer));
    assert!(!second.facts.budget.withdraw());
}

#[test]
fn problems_stand_at_their_keys() {
    let config: Config = toml::from_str(
        "attempts = 0\non = []\nper_try_timeout = \"0s\"\nbackoff = \"1s\"\nbudget = 1.5\nmethods = []\nhedge_after = \"0s\"",
    )
    .unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    let places: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
    let expected = [
        "attempts",
        "on",
        "per_try_timeout",
        "max_backoff",
        "budget",
        "methods",
        "hedge_after",
    ];
    assert_eq!(places, expected);
}
