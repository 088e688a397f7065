use super::*;
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::policy::build::Kept;
use crate::policy::stack::{Answer, Handler, Policy};
use crate::testing::{Echo, next, request};
use bytes::Bytes;
use http::StatusCode;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// One route's limit, over as many configs as the test brings.
#[derive(Default)]
struct Route {
    kept: Kept,
}

impl Route {
    fn with(&mut self, config: &str) -> ConcurrencyLimit {
        let mut next = Kept::default();
        let mut build = Build::new("r".into(), &self.kept, &mut next);
        let policy = ConcurrencyLimit::new(&toml::from_str(config).unwrap(), &mut build);
        self.kept = next;
        policy
    }
}

/// Answers after a time with a body of two pieces.
struct Slow(Duration, u16);

impl Handler for Slow {
    fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async {
            tokio::time::sleep(self.0).await;
            let pieces = ["a", "b"].map(|piece| Ok(Frame::data(Bytes::from(piece))));
            let body = Body::stream(StreamBody::new(futures_util::stream::iter(pieces)));
            let status = StatusCode::from_u16(self.1).unwrap();
            Ok(Box::new(Response::new(status, body)))
        })
    }
}

async fn refused(policy: &ConcurrencyLimit) -> bool {
    match policy.apply(request("GET", "/"), next(&Echo)).await {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.reason(), OVERLOADED);
            true
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_counts_to_the_end_of_its_body() {
    let policy = Route::default().with("max = 1");
    let mut answer = policy
        .apply(request("GET", "/"), next(&Slow(MS, 200)))
        .await
        .unwrap();
    assert!(refused(&policy).await);
    answer.body.frame().await.unwrap().unwrap();
    assert!(refused(&policy).await, "one piece of two");
    answer.body.frame().await.unwrap().unwrap();
    assert!(answer.body.frame().await.is_none());
    assert!(!refused(&policy).await);
    // Nobody reads it to its end.
    drop(
        policy
            .apply(request("GET", "/"), next(&Slow(MS, 200)))
            .await,
    );
    assert!(!refused(&policy).await);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_makes_room() {
    let policy = Route::default().with("max = 1");
    let mut waiting = Box::pin(policy.apply(request("GET", "/"), next(&Slow(MS, 200))));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert!(refused(&policy).await);
    drop(waiting);
    assert!(!refused(&policy).await);
}

#[tokio::test(start_paused = true)]
async fn a_new_limit_applies_to_those_already_in() {
    let mut route = Route::default();
    let first = route.with("max = 5");
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(
            first
                .apply(request("GET", "/"), next(&Slow(MS, 200)))
                .await
                .unwrap(),
        );
    }
    let fewer = route.with("max = 2");
    assert!(refused(&fewer).await);
    held.truncate(1);
    assert!(!refused(&fewer).await);
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_learns_from_good_answers_and_keeps_what_it_learnt() {
    let mut route = Route::default();
    let policy = route.with("adaptive = true\nmin = 3\nmax = 40");
    assert_eq!(policy.0.state()["limit"], 20);
    let in_turn = async |policy: &ConcurrencyLimit, upstream: &Slow, times: usize| {
        for _ in 0..times {
            let calls =
                (0..policy.0.now()).map(|_| policy.apply(request("GET", "/"), next(upstream)));
            for outcome in futures_util::future::join_all(calls).await {
                outcome.unwrap();
            }
            tokio::time::advance(100 * MS).await;
        }
    };
    in_turn(&policy, &Slow(10 * MS, 200), 60).await;
    assert_eq!(policy.0.now(), 40);
    assert_eq!(policy.0.state()["long_term_latency_seconds"], 0.01);
    // Failures are quick, and teach nothing.
    in_turn(&policy, &Slow(MS, 500), 60).await;
    assert_eq!(policy.0.state()["long_term_latency_seconds"], 0.01);
    let policy = route.with("adaptive = true\nmin = 3\nmax = 30");
    assert_eq!(policy.0.now(), 30, "the new ceiling");
    in_turn(&policy, &Slow(100 * MS, 200), 30).await;
    let learnt = policy.0.now();
    assert!((3..15).contains(&learnt), "{learnt}");
}

#[test]
fn problems_stand_at_their_keys() {
    let places = |config: &str| -> Vec<String> {
        let mut problems = Problems::default();
        toml::from_str::<Config>(config)
            .unwrap()
            .check(&mut problems);
        problems.into_vec().iter().map(|p| p.at.join(".")).collect()
    };
    for good in [
        "max = 1",
        "adaptive = true",
        "adaptive = true\nmax = 5",
        "adaptive = true\nmin = 50",
    ] {
        assert_eq!(places(good), [""; 0], "{good}");
    }
    assert_eq!(places(""), [""]);
    assert_eq!(places("max = 5\nmin = 1"), ["min"]);
    assert_eq!(places("adaptive = true\nmax = 5\nmin = 6"), ["min"]);
    assert_eq!(places("adaptive = true\nmin = 2000"), ["min"]);
}
