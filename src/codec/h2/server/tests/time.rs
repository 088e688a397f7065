//! Time limits.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stalled_stream_is_cut_though_its_sibling_moves() {
    let mut far = serving_with(SETTINGS, setting(INITIAL_WINDOW, 0), |_| {
        Box::pin(async { ok(vec![b'x'; 1 << 20]) })
    })
    .await;
    let start = Instant::now();
    far.send([get(1), get(3)].concat()).await;
    let (mut moved, mut last) = (0, start);
    loop {
        tokio::select! {
            event = far.news() => match event {
                Event::Data(3, piece, _) => moved += piece.len(),
                Event::Reset(stream, code) => {
                    assert_eq!((stream, code), (1, Code::CANCEL));
                    break;
                }
                Event::Headers(..) => {}
                other => panic!("{other:?}"),
            },
            () = tokio::time::sleep_until(last + Duration::from_secs(10)) => {
                last = Instant::now();
                far.send(window_update(3, 100)).await;
            }
        }
    }
    assert_eq!(start.elapsed(), WRITE_STALL);
    assert!(moved > 2000, "{moved}");
    far.send(window_update(3, 100)).await;
    assert!(matches!(far.news().await, Event::Data(3, _, false)));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_an_exchange_ends_a_stalled_stream() {
    let length = Duration::from_secs(20);
    let told = Arc::new(std::sync::Mutex::new(None));
    struct Told(Arc<std::sync::Mutex<Option<&'static str>>>);
    impl crate::http::body::Guard for Told {
        fn end(&mut self, end: crate::http::body::End<'_>, _: u64) {
            if let crate::http::body::End::Failed(error) = end {
                *self.0.lock().unwrap() = Some(error.reason().name);
            }
        }
    }
    let guard = told.clone();
    let mut far = serving_with(SETTINGS, setting(INITIAL_WINDOW, 0), move |_| {
        let guard = Told(guard.clone());
        Box::pin(async move {
            let pieces = futures_util::stream::repeat_with(|| {
                Ok(http_body::Frame::data(Bytes::from_static(b"x")))
            });
            let body = Body::stream(http_body_util::StreamBody::new(pieces)).with_guard(guard);
            let mut response = Response::new(StatusCode::OK, body);
            response.deadline = Some(Instant::now() + length);
            Box::new(response)
        })
    })
    .await;
    let start = Instant::now();
    far.send(get(1)).await;
    assert_eq!(status(&far.news().await), "200");
    assert_eq!(far.news().await, Event::Reset(1, Code::CANCEL));
    assert_eq!(start.elapsed(), length);
    assert_eq!(*told.lock().unwrap(), Some("deadline_exceeded"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_its_socket_is_left() {
    let wide = [setting(INITIAL_WINDOW, 1 << 30), window_update(0, 1 << 30)].concat();
    let (io, mut far) = pair();
    far.greet(&wide).await;
    far.send(get(1)).await;
    let start = Instant::now();
    let answer = |_, _, _| async { ok(vec![b'x'; 64 << 20]) };
    serve_streams(io, BytesMut::new(), SETTINGS, || false, answer, |_| ())
        .await
        .unwrap();
    assert!(start.elapsed() >= WRITE_STALL && start.elapsed() < WRITE_STALL + 2 * LINGER);
}

const LINGER: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_slow_to_come_is_no_stall() {
    let mut far = serving(|_| {
        Box::pin(async {
            let mut pieces = 0;
            let stream = futures_util::stream::poll_fn(move |_| {
                pieces += 1;
                match pieces {
                    1 => Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from("a"))))),
                    _ => Poll::Pending,
                }
            });
            let body = http_body_util::StreamBody::new(stream);
            Box::new(Response::new(StatusCode::OK, Body::stream(body)))
        })
    })
    .await;
    far.send(get(1)).await;
    far.news().await;
    assert_eq!(far.news().await, Event::Data(1, b"a".to_vec(), false));
    let waited = tokio::time::timeout(4 * WRITE_STALL, far.news()).await;
    assert!(waited.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_before_its_answer_fails() {
    let mut far = serving(|(_, mut body, _)| {
        Box::pin(async move {
            let error = body.frame().await.unwrap().unwrap_err();
            assert_eq!(error.reason(), REQUEST_TIMEOUT);
            Box::new(Response::new(error.status(), Body::empty()))
        })
    })
    .await;
    let start = Instant::now();
    far.send(post(1, &[])).await;
    assert_eq!(status(&far.news().await), "408");
    assert_eq!(start.elapsed(), SETTINGS.body_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_pause_once_its_answer_has_begun() {
    // Every piece of the request is one of the answer.
    let mut far = serving(|(_, body, _)| {
        Box::pin(async move { Box::new(Response::new(StatusCode::OK, body)) })
    })
    .await;
    let start = Instant::now();
    far.send(post(1, &[])).await;
    assert_eq!(status(&far.news().await), "200");
    tokio::time::sleep(4 * SETTINGS.body_timeout).await;
    far.send(frame(frame::DATA, frame::END_STREAM, 1, b"late"))
        .await;
    assert_eq!(far.news().await, Event::Data(1, b"late".to_vec(), true));
    assert_eq!(start.elapsed(), 4 * SETTINGS.body_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_end_is_given_up() {
    for (unfinished, what) in [
        (frame(frame::HEADERS, 0, 1, &[0x82]), "a block"),
        (get(1)[..5].to_vec(), "the head of a frame"),
        (get(1)[..10].to_vec(), "a frame"),
    ] {
        let mut far = serving(echo).await;
        let start = Instant::now();
        far.send(unfinished).await;
        let goaway = far.news().await;
        assert_eq!(goaway, Event::Goaway(0, Code::ENHANCE_YOUR_CALM), "{what}");
        assert_eq!(start.elapsed(), SETTINGS.header_timeout, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_caller_is_told_in_two_steps() {
    let mut far = serving(echo).await;
    let start = Instant::now();
    far.send(get(1)).await;
    assert_eq!(status(&far.news().await), "200");
    assert_eq!(
        far.news().await,
        Event::Goaway(frame::MAX_31, Code::NO_ERROR)
    );
    assert_eq!(start.elapsed(), SETTINGS.idle_timeout);
    // A request that crossed the first GOAWAY is served.
    far.send(get(3)).await;
    assert!(matches!(far.news().await, Event::Ping(0, _)));
    assert_eq!(status(&far.news().await), "200");
    far.send(frame(frame::PING, frame::ACK, 0, &[0; 8])).await;
    assert_eq!(far.news().await, Event::Goaway(3, Code::NO_ERROR));
    assert_eq!(far.news().await, Event::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_is_under_way_and_takes_no_more() {
    static DRAINING: AtomicBool = AtomicBool::new(false);
    let (io, mut far) = pair();
    far.greet(&frame(frame::SETTINGS, 0, 0, &[])).await;
    tokio::spawn(async move {
        let answer = |_, _, _| async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            ok("done")
        };
        let draining = || DRAINING.load(Ordering::SeqCst);
        serve_streams(io, BytesMut::new(), SETTINGS, draining, answer, |_| ()).await
    });
    far.send([get(1), ping(b"00000000")].concat()).await;
    far.news().await;
    DRAINING.store(true, Ordering::SeqCst);
    far.send(ping(b"11111111")).await;
    let mut events = Vec::new();
    for _ in 0..4 {
        events.push(far.news().await);
    }
    assert!(events.contains(&Event::Goaway(frame::MAX_31, Code::NO_ERROR)));
    // Nobody answers the ping, and after a while it goes on all the same.
    assert!(
        events.contains(&Event::Goaway(1, Code::NO_ERROR)),
        "{events:?}"
    );
    far.send(get(3)).await;
    assert_eq!(status(&far.news().await), "200");
    assert_eq!(far.news().await, Event::Data(1, b"done".to_vec(), true));
    assert_eq!(far.news().await, Event::Closed);
}

/// Serves what `wire` holds to the end of the connection; the reasons of heads that got no answer, with their methods.
async fn unanswered(wire: Vec<u8>) -> Vec<(crate::http::error::Reason, Option<Method>)> {
    let (io, mut far) = pair();
    far.greet(&frame(frame::SETTINGS, 0, 0, &[])).await;
    far.send(wire).await;
    far.end().await;
    let told = std::sync::Mutex::new(Vec::new());
    let note = |mut error: Error| {
        let method = error.take_outline().unwrap().method;
        told.lock().unwrap().push((error.reason(), method));
    };
    let answer = |head, body, interim| echo((head, body, interim));
    let _ended = serve_streams(io, BytesMut::new(), SETTINGS, || false, answer, note).await;
    told.into_inner().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_head_that_gets_no_answer_is_told_of() {
    use crate::http::error::{BAD_REQUEST, HEADERS_TOO_LARGE};
    let post = Some(Method::POST);
    let fields = [(":method", "POST"), (":path", "/"), ("te", "gzip")];
    let malformed = [headers(1, true, &fields), get(3)].concat();
    assert_eq!(unanswered(malformed).await, [(BAD_REQUEST, post.clone())]);
    // The same, in the turn in which the connection breaks.
    let broken = [headers(1, true, &fields), frame(frame::DATA, 0, 0, b"")].concat();
    assert_eq!(unanswered(broken).await, [(BAD_REQUEST, post)]);
    let half = frame(frame::HEADERS, 0, 1, &[0x82]);
    let more = frame(frame::CONTINUATION, 0, 1, &[0; 16 << 10]);
    let flood = [half, more.clone(), more].concat();
    assert_eq!(unanswered(flood).await, [(HEADERS_TOO_LARGE, None)]);
    let unreadable = frame(frame::HEADERS, frame::END_HEADERS, 1, &[0x80]);
    assert_eq!(unanswered(unreadable).await, [(BAD_REQUEST, None)]);
    // Its fault is no head's.
    assert!(unanswered(frame(frame::DATA, 0, 0, b"")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_takes_too_long_is_told_of() {
    let (io, mut far) = pair();
    far.greet(&frame(frame::SETTINGS, 0, 0, &[])).await;
    far.send(frame(frame::HEADERS, 0, 1, &[0x82])).await;
    let told = AtomicUsize::new(0);
    let note = |error: Error| {
        assert_eq!(error.reason(), REQUEST_TIMEOUT);
        told.fetch_add(1, Ordering::SeqCst);
    };
    let answer = |head, body, interim| echo((head, body, interim));
    let _ended = serve_streams(io, BytesMut::new(), SETTINGS, || false, answer, note).await;
    assert_eq!(told.into_inner(), 1);
}
