//! Exchanges and connections that end before their time.

use super::*;

/// What became of a request after these frames of the upstream.
async fn failed_by(body: Body, frames: &[u8]) -> (Error, Box<Request>) {
    let (connection, mut far) = connected(&plain()).await;
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    far.send(frames).await;
    let (outcome, request) = asked.await.unwrap();
    (outcome.unwrap_err(), request)
}

fn goaway(last: u32, code: Code) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put_goaway(&mut out, last, code);
    out
}

#[tokio::test]
async fn what_the_upstream_has_not_looked_at_comes_back_whole() {
    for frames in [reset(1, Code::REFUSED_STREAM), goaway(0, Code::NO_ERROR)] {
        let (error, request) = failed_by(Body::full("hello"), &frames).await;
        assert_eq!(
            (error.reason(), error.progress()),
            (UPSTREAM_RESET, Progress::Unsent)
        );
        assert_eq!(request.body.collect().await.unwrap().to_bytes(), "hello");
        // A body that was not here yet, of which nothing was taken.
        let (pieces, body) = fed();
        let (error, request) = failed_by(body, &frames).await;
        assert_eq!(error.progress(), Progress::Unsent);
        pieces.send(Ok("hello".into())).unwrap();
        drop(pieces);
        assert_eq!(request.body.collect().await.unwrap().to_bytes(), "hello");
        // One of which something was sent, all of it, and nothing but its end.
        for all in ["hel|lo", "hello|", "|"] {
            let (connection, mut far) = connected(&plain()).await;
            let (pieces, body) = fed();
            let asked = ask(&connection, asking("POST", body));
            far.news().await;
            let mut parts = all.split('|').filter(|part| !part.is_empty());
            if let Some(first) = parts.next() {
                pieces.send(Ok(first.into())).unwrap();
                far.news().await;
            }
            let ended = all.ends_with('|');
            let pieces = (!ended).then_some(pieces);
            if ended {
                assert_eq!(far.news().await, Event::Data(1, vec![], true));
            }
            far.send(&frames).await;
            let (outcome, request) = asked.await.unwrap();
            assert_eq!(outcome.unwrap_err().progress(), Progress::Unsent, "{all}");
            assert!(!http_body::Body::is_end_stream(&request.body), "{all}");
            for part in parts {
                pieces.as_ref().unwrap().send(Ok(part.into())).unwrap();
            }
            drop(pieces);
            let whole = request.body.collect().await.unwrap().to_bytes();
            assert_eq!(whole, all.replace('|', ""));
        }
    }
}

/// A body that is on its way to the connection's task when that hears of the end, and is not here yet.
#[tokio::test]
async fn a_body_that_was_just_handed_over_comes_back() {
    let (mut connection, mut far) = connected(&plain()).await;
    settled(&mut far).await;
    far.send_at_once(&goaway(0, Code::NO_ERROR));
    // The event loop sees it, and this task runs before that of the connection.
    tokio::task::yield_now().await;
    let (pieces, body) = fed();
    let mut request = asking("POST", body);
    let outcome = connection.exchange(&mut request, || ()).await;
    assert_eq!(outcome.unwrap_err().progress(), Progress::Unsent);
    pieces.send(Ok("hello".into())).unwrap();
    drop(pieces);
    assert_eq!(request.body.collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_large_body_of_which_something_was_sent_does_not_come_back() {
    let (connection, mut far) = connected(&plain()).await;
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    for _ in 0..2 {
        pieces.send(Ok(vec![b'x'; 40_000].into())).unwrap();
    }
    settled(&mut far).await;
    far.send(reset(1, Code::REFUSED_STREAM)).await;
    let (outcome, request) = asked.await.unwrap();
    assert_eq!(outcome.unwrap_err().progress(), Progress::Unsent);
    assert!(request.body.is_empty());
}

/// A stream may last for hours.
#[tokio::test]
async fn what_was_sent_is_kept_until_the_answer_begins() {
    for ended in [false, true] {
        let (connection, mut far) = connected(&plain()).await;
        let (pieces, body) = fed();
        let asked = ask(&connection, asking("POST", body));
        far.news().await;
        let piece = Bytes::from(vec![b'x'; 1000]);
        pieces.send(Ok(piece.clone())).unwrap();
        far.news().await;
        let pieces = (!ended).then_some(pieces);
        if ended {
            assert_eq!(far.news().await, Event::Data(1, vec![], true));
        }
        settled(&mut far).await;
        assert!(!piece.is_unique());
        far.send_headers(1, false, &[(":status", "200")]).await;
        let _answer = asked.await.unwrap().0.unwrap();
        settled(&mut far).await;
        assert!(piece.is_unique(), "{ended}");
        drop(pieces);
    }
}

#[tokio::test(start_paused = true)]
async fn early_answers_are_no_flood_of_resets() {
    let (connection, mut far) = connected(&plain()).await;
    for number in 0..3_000 {
        let stream = 2 * number + 1;
        let (_pieces, body) = fed();
        let asked = ask(&connection, asking("POST", body));
        far.news().await;
        far.send_headers(stream, true, &[(":status", "413")]).await;
        far.send(reset(stream, Code::NO_ERROR)).await;
        assert_eq!(asked.await.unwrap().0.unwrap().status, 413);
        assert_eq!(far.news().await, Event::Reset(stream, Code::CANCEL));
    }
    // Nor are those that answer nothing: there is one for each request.
    for number in 3_000..6_000 {
        let asked = ask(&connection, asking("GET", Body::empty()));
        far.news().await;
        far.send(reset(2 * number + 1, Code::INTERNAL_ERROR)).await;
        assert!(asked.await.unwrap().0.is_err());
    }
    assert!(!connection.is_closed());
}

#[tokio::test]
async fn what_a_reset_means_goes_with_the_failure() {
    for (code, told) in [
        (Code::CANCEL, Some(8)),
        (Code::ENHANCE_YOUR_CALM, Some(11)),
        (Code::NO_ERROR, None),
        (Code::REFUSED_STREAM, None),
        (Code::INTERNAL_ERROR, None),
    ] {
        let (connection, mut far) = connected(&plain()).await;
        let asked = ask(&connection, asking("GET", Body::empty()));
        far.news().await;
        far.send_headers(1, false, &[(":status", "200")]).await;
        let mut response = asked.await.unwrap().0.unwrap();
        far.send(reset(1, code)).await;
        let error = response.body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.stream_code(), told, "{code:?}");
    }
}

#[tokio::test]
async fn what_may_have_been_processed_says_so() {
    for (frames, reason) in [
        (reset(1, Code::CANCEL), UPSTREAM_RESET),
        (reset(1, Code::INTERNAL_ERROR), UPSTREAM_RESET),
        (reset(1, Code::PROTOCOL_ERROR), UPSTREAM_PROTOCOL_ERROR),
        (headers(1, true, &[("x", "1")]), UPSTREAM_PROTOCOL_ERROR),
        (
            headers(1, true, &[(":status", "1000")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (
            headers(1, true, &[(":status", "101")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (
            headers(1, true, &[(":status", "200"), (":path", "/")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (
            headers(1, true, &[(":status", "200"), ("connection", "close")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (
            headers(1, true, &[(":status", "200"), ("content-length", "3")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (
            headers(1, true, &[(":status", "103")]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
        (data(1, false, b"before its head"), UPSTREAM_PROTOCOL_ERROR),
        (
            frame(frame::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]),
            UPSTREAM_PROTOCOL_ERROR,
        ),
    ] {
        let (error, _) = failed_by(Body::empty(), &frames).await;
        assert_eq!(error.reason(), reason, "{frames:?}");
        assert_eq!(error.progress(), Progress::Sent, "{frames:?}");
    }
}

#[tokio::test]
async fn an_upstream_of_another_protocol_is_told_apart() {
    let (io, mut far) = pair();
    let connection = Connection::new(io);
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.skip_preface().await;
    far.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        .await;
    let error = asked.await.unwrap().0.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_PROTOCOL_ERROR);
    assert!(
        error.to_string().contains("does not speak HTTP/2"),
        "{error}"
    );
    assert!(connection.is_closed());
}

#[tokio::test]
async fn an_answer_that_is_cut_fails() {
    for frames in [
        reset(1, Code::INTERNAL_ERROR),
        // More content than announced.
        data(1, false, b"defgh"),
        data(1, true, b"d"),
    ] {
        let (connection, mut far) = connected(&plain()).await;
        let asked = ask(&connection, asking("GET", Body::empty()));
        far.news().await;
        far.send_headers(1, false, &[(":status", "200"), ("content-length", "6")])
            .await;
        far.send(data(1, false, b"abc")).await;
        let mut response = asked.await.unwrap().0.unwrap();
        let first = response.body.frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "abc");
        far.send(frames).await;
        let error = loop {
            match response.body.frame().await.unwrap() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.progress(), Progress::Answering);
    }
}

#[tokio::test]
async fn an_upstream_that_goes_away_answers_what_it_has_taken() {
    let (connection, mut far) = connected(&plain()).await;
    let first = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    let second = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    far.send(goaway(frame::MAX_31, Code::NO_ERROR)).await;
    settled(&mut far).await;
    assert!(connection.is_closed());
    let late = ask(&connection, asking("GET", Body::empty()));
    let error = late.await.unwrap().0.unwrap_err();
    assert_eq!(
        (error.reason(), error.progress()),
        (UPSTREAM_RESET, Progress::Unsent)
    );
    far.send(goaway(1, Code::NO_ERROR)).await;
    let error = second.await.unwrap().0.unwrap_err();
    assert_eq!(error.progress(), Progress::Unsent);
    far.send_headers(1, true, &[(":status", "200")]).await;
    assert!(first.await.unwrap().0.is_ok());
    assert_eq!(far.news().await, Event::Goaway(0, Code::NO_ERROR));
    assert_eq!(far.news().await, Event::Closed);
}

#[tokio::test]
async fn a_connection_that_ends_fails_all_that_is_under_way() {
    let (connection, mut far) = connected(&plain()).await;
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    drop(far);
    let error = asked.await.unwrap().0.unwrap_err();
    assert_eq!(
        (error.reason(), error.progress()),
        (UPSTREAM_RESET, Progress::Sent)
    );
    assert!(connection.is_closed());
    assert_eq!(connection.in_flight(), 0);
}

/// Of what was never written, the upstream has seen nothing.
#[tokio::test]
async fn a_request_that_was_not_written_can_be_sent_again() {
    let (io, far) = pair();
    let connection = Connection::new(io);
    // The other end is gone before the connection's task has run for the first time.
    drop(far);
    let (outcome, request) = ask(&connection, asking("POST", Body::full("hello")))
        .await
        .unwrap();
    assert_eq!(outcome.unwrap_err().progress(), Progress::Unsent);
    assert_eq!(request.body.collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_request_body_that_fails_cancels_its_request() {
    let (connection, mut far) = connected(&plain()).await;
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    pieces.send(Err(Error::new(INTERNAL, "lost"))).unwrap();
    assert_eq!(far.news().await, Event::Reset(1, Code::CANCEL));
    let error = asked.await.unwrap().0.unwrap_err();
    assert_eq!(
        (error.reason(), error.progress()),
        (INTERNAL, Progress::Sent)
    );
}

#[tokio::test]
async fn a_connection_that_nobody_holds_ends_with_its_last_stream() {
    let (connection, mut far) = connected(&plain()).await;
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    drop(connection);
    settled(&mut far).await;
    far.send_headers(1, false, &[(":status", "200")]).await;
    let response = asked.await.unwrap().0.unwrap();
    settled(&mut far).await;
    far.send(data(1, true, b"done")).await;
    assert_eq!(response.body.collect().await.unwrap().to_bytes(), "done");
    assert_eq!(far.news().await, Event::Goaway(0, Code::NO_ERROR));
    assert_eq!(far.news().await, Event::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_is_found() {
    let (connection, mut far) = connected(&plain()).await;
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    let start = Instant::now();
    assert_eq!(far.news().await, Event::Ping(0, vec![0; 8]));
    // It lives, and is left alone for as long again.
    far.send(frame(frame::PING, frame::ACK, 0, &[0; 8])).await;
    let first = start.elapsed();
    assert!(first >= Duration::from_secs(300), "{first:?}");
    assert_eq!(far.news().await, Event::Ping(0, vec![0; 8]));
    assert!(start.elapsed() - first >= Duration::from_secs(300));
    let error = asked.await.unwrap().0.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_RESET);
    assert!(start.elapsed() < Duration::from_secs(2000));
    // Without a stream, nobody asks.
    let (connection, mut far) = connected(&plain()).await;
    settled(&mut far).await;
    assert!(
        tokio::time::timeout(Duration::from_secs(10_000), far.news())
            .await
            .is_err()
    );
    drop(connection);
}
