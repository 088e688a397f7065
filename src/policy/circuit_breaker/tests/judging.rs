//! What counts as a failure of the upstream, and from when on that is known.

use http_body_util::BodyExt;

use super::*;
use crate::http::error::{
    CONNECT_FAILED, DEADLINE_EXCEEDED, NO_HEALTHY_ENDPOINT, OVERLOADED, REQUEST_TIMEOUT,
    UPSTREAM_RESET, UPSTREAM_TIMEOUT,
};

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
    let late = call(vec![piece(), piece()]).await.unwrap();
    late.body.failed(&Error::new(UPSTREAM_TIMEOUT, "late"));
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
        let below = Next::new(&never, exchange());
        let mut call = Box::pin(breaker.apply(request("GET", "/"), below));
        assert!(futures_util::poll!(&mut call).is_pending());
        if overdue {
            drop(below.exchange.cut(call, Why::Overdue))
        } else {
            drop(call)
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
    let upstream = Upstream(Mutex::new(Some(Ok(in_head("4")))));
    let limits = Limits {
        hurried: true,
        ..Limits::default()
    };
    let hurried = exchange().limited(&limits, None);
    let below = Next::new(&upstream, &hurried);
    breaker.apply(grpc(), below).await.unwrap();
    assert_eq!(breaker.failures(), 0);
    // An answer that is over without one.
    breaker.call(grpc(), Ok(answer(200))).await.unwrap();
    assert_eq!(breaker.failures(), 1);
    breaker.call(grpc(), Ok(in_head("0"))).await.unwrap();
    // A page's call has its status in a head, or else in the body, which is not read.
    let page = || {
        let mut request = grpc();
        request.headers = headers(&[("content-type", "application/grpc-web")]);
        request
    };
    breaker.call(page(), Ok(in_head("14"))).await.unwrap();
    assert_eq!(breaker.failures(), 1);
    breaker.call(page(), Ok(answer(200))).await.unwrap();
    assert_eq!(breaker.failures(), 0);
    // Who does not speak gRPC does not mean it.
    breaker
        .call(request("GET", "/"), Ok(in_head("14")))
        .await
        .unwrap();
    assert_eq!(breaker.failures(), 0);
}
