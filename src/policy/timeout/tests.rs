//! The three limits, with a paused clock.

use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use super::*;
use crate::http::body::{End, Guard};
use crate::http::exchange::Exchange;
use crate::policy::stack::{Answer, Handler};
use crate::policy::{self, build::Kept};
use crate::testing::{next, request};
use crate::value::problem::Problems;

type Piece = Result<Frame<Bytes>, Error>;

/// A body that is fed by hand.
fn fed() -> (mpsc::Sender<Piece>, Body) {
    let (feed, mut pieces) = mpsc::channel(8);
    let pieces = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
    (feed, Body::stream(StreamBody::new(pieces)))
}

fn piece(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from(text)))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn limits(head: Option<u64>, idle: Option<u64>, whole: Option<u64>) -> Timeout {
    Timeout {
        head: head.map(secs),
        idle: idle.map(secs),
        whole: whole.map(secs),
    }
}

/// Reads the request's body to its end, then takes its time to answer with a body.
struct Upstream {
    takes: Duration,
    body: std::sync::Mutex<Option<Body>>,
}

impl Upstream {
    fn new(takes: u64, body: Body) -> Self {
        Upstream {
            takes: secs(takes),
            body: Some(body).into(),
        }
    }
}

impl Handler for Upstream {
    fn call<'a>(&'a self, mut request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            while let Some(piece) = request.body.frame().await {
                piece?;
            }
            tokio::time::sleep(self.takes).await;
            let body = self.body.lock().unwrap().take().unwrap();
            Ok(Box::new(Response::new(StatusCode::OK, body)))
        })
    }
}

async fn ask(policy: &Timeout, takes: u64, body: Body) -> Result<Box<Response>, Error> {
    let upstream = Upstream::new(takes, body);
    policy.apply(request("GET", "/"), next(&upstream)).await
}

#[tokio::test(start_paused = true)]
async fn the_head_must_come_in_time() {
    let policy = limits(Some(15), None, None);
    assert!(ask(&policy, 14, Body::empty()).await.is_ok());
    let begun = Instant::now();
    let error = ask(&policy, 16, Body::empty()).await.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_TIMEOUT);
    assert_eq!(error.progress(), Progress::Sent);
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_long_upload_is_not_a_slow_upstream() {
    let policy = limits(Some(15), None, None);
    let (feed, body) = fed();
    let mut upload = request("POST", "/");
    upload.body = body;
    tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(secs(14)).await;
            feed.try_send(piece("x")).unwrap();
        }
        // Longer than the limit: it is the caller who is slow.
        tokio::time::sleep(secs(40)).await;
    });
    let begun = Instant::now();
    let upstream = Upstream::new(20, Body::empty());
    let error = policy.apply(upload, next(&upstream)).await.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 140 + 40 + 15);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_stops_reading_is_slow() {
    struct Deaf;
    impl Handler for Deaf {
        fn call<'a>(&'a self, mut request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
            Box::pin(async move {
                request.body.frame().await;
                std::future::pending().await
            })
        }
    }
    let (feed, body) = fed();
    feed.try_send(piece("x")).unwrap();
    let mut upload = request("POST", "/");
    upload.body = body;
    let begun = Instant::now();
    let error = limits(Some(15), None, None)
        .apply(upload, next(&Deaf))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_TIMEOUT);
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_last_while_its_pieces_come() {
    let policy = limits(Some(15), Some(300), None);
    let (feed, body) = fed();
    let mut body = ask(&policy, 0, body).await.unwrap().body;
    tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(secs(299)).await;
            feed.try_send(piece("x")).unwrap();
        }
        std::future::pending::<()>().await;
    });
    for _ in 0..5 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    let begun = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_TIMEOUT);
    assert_eq!(error.progress(), Progress::Answering);
    assert_eq!(begun.elapsed().as_secs(), 300);
    assert!(body.frame().await.is_none());
}

/// Answers at once with a body, and goes on reading the request's.
struct Duplex(std::sync::Mutex<Option<Body>>);

impl Handler for Duplex {
    fn call<'a>(&'a self, mut request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        tokio::spawn(async move { while let Some(Ok(_)) = request.body.frame().await {} });
        let body = self.0.lock().unwrap().take().unwrap();
        Box::pin(std::future::ready(Ok(Box::new(Response::new(
            StatusCode::OK,
            body,
        )))))
    }
}

/// The end of an answer of which nothing comes, while the caller sends a piece at each of these times; then it ends its
/// request, or keeps it open. Whether the end counts against the upstream comes with it.
async fn ended(policy: &Timeout, sent_at: &'static [u64], ends: bool) -> (Error, u64, bool) {
    struct Learns(Arc<std::sync::atomic::AtomicBool>);
    impl Guard for Learns {
        fn end(&mut self, end: End<'_>, _: u64) {
            let overdue = matches!(end, End::Failed(error) if error.reason() == UPSTREAM_TIMEOUT);
            self.0.store(overdue, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let overdue = Arc::default();
    let (_silent, answer) = fed();
    let answer = answer.with_guard(Learns(Arc::clone(&overdue)));
    let (feed, upload) = fed();
    let mut call = request("POST", "/");
    call.body = upload;
    let begun = Instant::now();
    tokio::spawn(async move {
        for at in sent_at {
            tokio::time::sleep_until(begun + secs(*at)).await;
            feed.send(piece("x")).await.unwrap();
        }
        if !ends {
            std::future::pending::<()>().await;
        }
    });
    let target = Duplex(Some(answer).into());
    let mut body = policy.apply(call, next(&target)).await.unwrap().body;
    let error = body.frame().await.unwrap().unwrap_err();
    let overdue = overdue.load(std::sync::atomic::Ordering::Relaxed);
    (error, begun.elapsed().as_secs(), overdue)
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_not_idle_while_its_caller_sends() {
    for head in [Some(15), None] {
        let policy = limits(head, Some(10), None);
        let (error, took, overdue) = ended(&policy, &[8, 16, 24], false).await;
        assert_eq!((error.reason(), took), (REQUEST_TIMEOUT, 34), "{error}");
        assert!(!overdue, "the caller owed the next piece");
        assert_eq!(error.progress(), Progress::Answering);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_silent_when_it_has_the_whole_request_is_to_blame() {
    let policy = limits(Some(15), Some(10), None);
    let (error, took, overdue) = ended(&policy, &[8], true).await;
    assert_eq!((error.reason(), took), (UPSTREAM_TIMEOUT, 18), "{error}");
    assert!(overdue);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_an_idle_upstream() {
    let policy = limits(None, Some(10), None);
    let (feed, body) = fed();
    let mut body = ask(&policy, 0, body).await.unwrap().body;
    feed.try_send(piece("a")).unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    tokio::time::sleep(secs(60)).await;
    feed.try_send(piece("b")).unwrap();
    assert!(body.frame().await.unwrap().is_ok());
    drop(feed);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_the_request_and_holds_before_the_head() {
    let policy = limits(Some(15), None, Some(5));
    let begun = Instant::now();
    let error = ask(&policy, 6, Body::empty()).await.unwrap_err();
    assert_eq!(error.reason(), DEADLINE_EXCEEDED);
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_cuts_a_body_that_waits_and_one_that_never_does() {
    let policy = limits(None, None, Some(5));
    let (_feed, waiting) = fed();
    let busy = Body::stream(StreamBody::new(futures_util::stream::repeat_with(|| {
        piece("x")
    })));
    for body in [waiting, busy] {
        let begun = Instant::now();
        let mut body = ask(&policy, 0, body).await.unwrap().body;
        let error = loop {
            match body.frame().await.unwrap() {
                Ok(_) => tokio::time::advance(secs(1)).await,
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), DEADLINE_EXCEEDED);
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_here_is_not_wrapped() {
    let policy = limits(Some(15), Some(300), Some(600));
    let mut response = ask(&policy, 0, Body::full("abc")).await.unwrap();
    assert_eq!(response.body.take_full().unwrap(), "abc");
    assert!(
        ask(&policy, 0, Body::empty())
            .await
            .unwrap()
            .body
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_frees_the_source_at_once() {
    let policy = limits(None, Some(1), None);
    let (feed, body) = fed();
    let mut body = ask(&policy, 0, body).await.unwrap().body;
    assert!(body.frame().await.unwrap().is_err());
    assert!(feed.is_closed());
}

#[test]
fn settings_have_defaults_and_can_be_turned_off() {
    let timeout = |config: &str| {
        let config: policy::Config = toml::from_str(config).unwrap();
        let (old, mut new) = (Kept::default(), Kept::default());
        let mut build = Build::new("r".into(), &old, &mut new);
        Timeout::from_blocks(&config.blocks(), &mut build).unwrap()
    };
    let policy = timeout("");
    assert_eq!(
        (policy.head, policy.idle, policy.whole),
        (Some(secs(15)), Some(secs(300)), None)
    );
    let policy = timeout("timeout = \"1s\"\nidle_timeout = false\ndeadline = \"1h\"");
    assert_eq!(
        (policy.head, policy.idle, policy.whole),
        (Some(secs(1)), None, Some(secs(3600)))
    );
    let policy = timeout("timeout = \"none\"\nidle_timeout = false");
    assert_eq!((policy.head, policy.idle, policy.whole), (None, None, None));

    let mut problems = Problems::default();
    UntilHead("0s".parse().unwrap()).check(&mut problems);
    UntilHead("none".parse().unwrap()).check(&mut problems);
    assert_eq!(problems.into_vec().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_time_is_none() {
    let policy = Timeout {
        head: Some(Duration::MAX),
        idle: Some(Duration::MAX),
        whole: Some(Duration::MAX),
    };
    let (feed, body) = fed();
    let mut body = ask(&policy, 1, body).await.unwrap().body;
    feed.try_send(piece("a")).unwrap();
    assert!(body.frame().await.unwrap().is_ok());
}
