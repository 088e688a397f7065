//! What an endpoint is blamed for, and how its time is told from that of others.

use std::sync::Arc;
use std::time::Duration;

use super::super::fake::{Names, request};
use super::*;
use crate::http::body::{Body, End};
use crate::http::error::{
    CALLER_GONE, CONNECT_FAILED, CONNECT_TIMEOUT, Error, OVERLOADED, Progress, UPSTREAM_RESET,
    UPSTREAM_TIMEOUT,
};
use crate::http::exchange::{Exchange, Limits, Why};
use crate::http::message::{Response, Upload};
use crate::net::resolve::Resolve;
use crate::testing::exchange;
use crate::upstream::{Checked, Upstream};
use http::StatusCode;

const MS: Duration = Duration::from_millis(1);

/// An upstream with one endpoint.
fn upstream() -> Arc<Upstream> {
    let resolver: Arc<dyn Resolve> = Arc::new(Names::default());
    let config = toml::from_str("endpoints = [\"10.0.0.1:80\"]").unwrap();
    let checked = Checked::new(config, None).unwrap();
    Upstream::next(&"app".parse().unwrap(), &checked, None, &resolver)
}

fn answer(status: u16) -> Response {
    Response::new(StatusCode::from_u16(status).unwrap(), Body::empty())
}

fn waiting<'a>(
    attempt: &'a Attempt,
    upstream: &'a Upstream,
    exchange: &'a Exchange<'a>,
) -> Waiting<'a> {
    Waiting {
        attempt,
        upstream,
        exchange,
        tried: None,
    }
}

/// An attempt that has just begun; whatever `act` does with it, it is over then.
async fn attempt(
    upstream: &Upstream,
    act: impl AsyncFnOnce(Waiting<'_>, &Exchange<'_>),
) -> Arc<Endpoint> {
    attempt_within(upstream, exchange(), act).await
}

async fn attempt_within(
    upstream: &Upstream,
    exchange: &Exchange<'_>,
    act: impl AsyncFnOnce(Waiting<'_>, &Exchange<'_>),
) -> Arc<Endpoint> {
    let attempt = upstream.pick(&request(), None).unwrap();
    act(waiting(&attempt, upstream, exchange), exchange).await;
    attempt.endpoint().clone()
}

fn latency(endpoint: &Endpoint) -> Option<u128> {
    let latency = endpoint.load.latency(Instant::now());
    latency.map(|latency| (latency + MS / 10).as_millis())
}

fn penalty(endpoint: &Endpoint) -> Option<u128> {
    let penalty = endpoint.load.penalty(Instant::now());
    penalty.map(|penalty| penalty.as_millis())
}

#[tokio::test(start_paused = true)]
async fn neither_the_wait_for_our_pool_nor_connecting_is_latency() {
    let connects = |stage: &Stage| stage.connects(Duration::ZERO);
    for waits in [
        Stage::waits as fn(&Stage),
        Stage::waits_for_stream,
        connects,
    ] {
        let upstream = upstream();
        let endpoint = attempt(&upstream, async |waiting, _| {
            waits(waiting.attempt.stage());
            tokio::time::advance(3000 * MS).await;
            waiting.attempt.asks();
            tokio::time::advance(20 * MS).await;
            waiting.end(Ok(&answer(200)), false);
        })
        .await;
        assert_eq!(latency(&endpoint), Some(20));
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_the_caller_s_time() {
    let upstream = upstream();
    for ends in [true, false] {
        let upload = Upload::new(Instant::now());
        let (limits, whole) = (Limits::default(), exchange());
        let exchange = whole.limited(&limits, Some(&upload));
        let endpoint = attempt_within(&upstream, &exchange, async |waiting, _| {
            waiting.attempt.asks_at_once();
            tokio::time::advance(2000 * MS).await;
            upload.note(&std::task::Poll::Ready(()));
            if !ends {
                // A stream in both directions: the answer to what has come so far.
                upload.note(&std::task::Poll::<()>::Pending);
            }
            tokio::time::advance(20 * MS).await;
            waiting.end(Ok(&answer(200)), false);
        })
        .await;
        assert_eq!(latency(&endpoint), Some(20));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_no_longer_blames_nobody() {
    for why in [None, Some(Why::Unwanted), Some(Why::Hurried)] {
        let upstream = upstream();
        let endpoint = attempt(&upstream, async |waiting, exchange| {
            waiting.attempt.asks_at_once();
            tokio::time::advance(50 * MS).await;
            match why {
                None => drop(waiting),
                Some(why) => drop(exchange.cut(waiting, why)),
            }
        })
        .await;
        assert_eq!(latency(&endpoint), Some(50), "all that is known");
        assert_eq!(penalty(&endpoint), None);
        assert_eq!(endpoint.standing.failures(), 0);
        assert!(endpoint.last_error.last().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_to_blame_only_for_what_it_was_asked() {
    for (waits, queued) in [
        (Stage::waits as fn(&Stage), true),
        (Stage::waits_for_stream, true),
        (|stage| stage.connects(Duration::ZERO), false),
    ] {
        let upstream = upstream();
        let mut place = None;
        let endpoint = attempt(&upstream, async |waiting, exchange| {
            waits(waiting.attempt.stage());
            tokio::time::advance(300 * MS).await;
            place = exchange.cut(waiting, Why::Overdue);
        })
        .await;
        let place = place.unwrap();
        assert_eq!(place.queued.is_some(), queued);
        assert_eq!(&*place.by.upstream, "app");
        assert_eq!(place.by.endpoint.as_deref(), Some("10.0.0.1:80"));
        assert_eq!(place.by.attempts, 1);
        assert_eq!(latency(&endpoint), None);
        assert_eq!(penalty(&endpoint), (!queued).then_some(1000));
        assert_eq!(endpoint.standing.failures(), u32::from(!queued));
        assert_eq!(endpoint.last_error.last().is_some(), !queued);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_no_latency_and_those_of_others_are_nothing() {
    let upstream = upstream();
    let fails = async |reason| {
        let error = Error::new(reason, "what happened");
        attempt(&upstream, async |waiting, _| {
            waiting.end(Err(&error), false);
        })
        .await
    };
    for reason in [OVERLOADED, CALLER_GONE] {
        let endpoint = fails(reason).await;
        assert_eq!(penalty(&endpoint), None, "{reason:?}");
        assert_eq!(endpoint.standing.failures(), 0);
    }
    for (reason, failures) in [(CONNECT_FAILED, 1), (CONNECT_TIMEOUT, 2)] {
        let endpoint = fails(reason).await;
        assert_eq!((latency(&endpoint), penalty(&endpoint)), (None, Some(1000)));
        assert_eq!(endpoint.standing.failures(), failures);
        let (_, error) = endpoint.last_error.last().unwrap();
        assert_eq!(error, format!("{}: what happened", reason.name));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quick_refusal_does_not_look_fast() {
    let upstream = upstream();
    let answers = async |status| {
        let answer = answer(status);
        let takes = if status == 200 { 40 * MS } else { MS };
        attempt(&upstream, async |waiting, _| {
            waiting.attempt.asks_at_once();
            tokio::time::advance(takes).await;
            waiting.end(Ok(&answer), false);
        })
        .await
    };
    answers(200).await;
    for status in [429, 503, 500] {
        tokio::time::advance(10_000 * MS).await;
        let endpoint = answers(status).await;
        assert_eq!(latency(&endpoint), Some(40), "{status}");
    }
    let (_, error) = answers(503).await.last_error.last().unwrap();
    assert_eq!(error, "answered with 503");
    tokio::time::advance(10_000 * MS).await;
    assert_eq!(latency(&*answers(404).await), Some(15));
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_to_the_end_of_its_body() {
    let upstream = upstream();
    let mut call = request();
    call.method = Method::POST;
    let answered = |status| {
        let attempt = upstream.pick(&call, None).unwrap();
        waiting(&attempt, &upstream, exchange()).end(Ok(&answer(status)), false);
        attempt
    };
    let failed = |reason| Error::new(reason, "cut").at(Progress::Answering);
    let (reset, late) = (failed(UPSTREAM_RESET), failed(UPSTREAM_TIMEOUT));
    let endpoint = answered(200).endpoint().clone();
    for (status, grpc_status, end, failures) in [
        (200, Some("14"), End::Complete, 1),
        (200, Some("0"), End::Failed(&reset), 2),
        (500, None, End::Complete, 3),
        (200, None, End::Dropped, 3),
        (200, None, End::Failed(&late), 3),
        (200, Some("3"), End::Complete, 0),
    ] {
        let mut attempt = answered(status);
        attempt.trailers(grpc_status.map(str::as_bytes));
        assert_eq!(endpoint.load.in_flight(), 1);
        attempt.end(end, 0);
        drop(attempt);
        assert_eq!(endpoint.load.in_flight(), 0);
        let found = endpoint.standing.failures();
        assert_eq!(found, failures, "{status} {grpc_status:?} {end:?}");
    }
}

#[test]
fn every_attempt_that_had_a_connection_ends_as_one_thing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let mut kept = None;
    let text = crate::telemetry::metrics::tests::rendered(|| {
        runtime.block_on(async {
            let upstream = upstream();
            for why in [Why::Overdue, Why::Hurried, Why::Unwanted] {
                attempt(&upstream, async |waiting, exchange| {
                    waiting.attempt.asks_at_once();
                    exchange.cut(waiting, why);
                })
                .await;
            }
            for reason in [CONNECT_FAILED, CALLER_GONE, OVERLOADED] {
                attempt(&upstream, async |waiting, _| {
                    waiting.end(Err(&Error::new(reason, "")), false);
                })
                .await;
            }
            attempt(&upstream, async |waiting, exchange| {
                waiting.attempt.stage().waits();
                exchange.cut(waiting, Why::Overdue);
            })
            .await;
            kept = Some(upstream);
        });
    });
    for (result, count) in [("2xx", 0), ("timeout", 2), ("cancelled", 2), ("failed", 1)] {
        let line = format!(
            "outrigger_upstream_requests_total{{upstream=\"app\",result=\"{result}\"}} {count}"
        );
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    let count = "outrigger_upstream_request_duration_seconds_count{upstream=\"app\"} 5";
    assert!(text.contains(count), "{text}");
}
