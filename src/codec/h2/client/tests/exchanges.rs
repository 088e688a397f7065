//! Requests, their answers, and the ends of both.

use http::StatusCode;

use super::*;

#[tokio::test]
async fn a_request_and_its_answer_pass() {
    let (connection, mut far) = connected(&plain()).await;
    let mut request = asking("POST", Body::full("hello"));
    for (name, value) in [
        ("host", "x"),
        ("te", "trailers"),
        ("x-a", "1"),
        ("content-length", "99"),
    ] {
        request
            .headers
            .append(&name.parse().unwrap(), &value.parse().unwrap());
    }
    let asked = ask(&connection, request);
    let Event::Headers(1, fields, false) = far.news().await else {
        panic!("no request");
    };
    assert_eq!(
        fields,
        [
            ":method: POST",
            ":scheme: http",
            ":authority: shop.example",
            ":path: /a?b",
            "te: trailers",
            "x-a: 1",
            "content-length: 5",
        ]
    );
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), true));
    assert_eq!(connection.in_flight(), 1);
    far.send_headers(1, false, &[(":status", "201"), ("x-b", "2")])
        .await;
    far.send(data(1, false, b"wor")).await;
    let response = asked.await.unwrap().0.unwrap();
    assert_eq!(response.status, StatusCode::CREATED);
    assert_eq!(
        response.headers.get(&"x-b".parse().unwrap()),
        Some(&b"2"[..])
    );
    far.send(data(1, false, b"ld")).await;
    far.send_headers(1, true, &[("x-sum", "5")]).await;
    let whole = response.body.collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["x-sum"], "5");
    assert_eq!(whole.to_bytes(), "world");
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test]
async fn answers_without_a_body_end_with_their_heads() {
    let (connection, mut far) = connected(&plain()).await;
    for (number, (method, status)) in [("HEAD", "200"), ("GET", "204"), ("GET", "304")]
        .into_iter()
        .enumerate()
    {
        let stream = 2 * number as u32 + 1;
        let asked = ask(&connection, asking(method, Body::empty()));
        assert!(matches!(far.news().await, Event::Headers(_, _, true)));
        far.send_headers(
            stream,
            true,
            &[(":status", status), ("content-length", "12")],
        )
        .await;
        let response = asked.await.unwrap().0.unwrap();
        assert!(response.body.is_empty());
        assert_eq!(connection.in_flight(), 1 - 1);
    }
}

#[tokio::test]
async fn both_bodies_stream_at_once() {
    let (connection, mut far) = connected(&plain()).await;
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    far.send_headers(1, false, &[(":status", "200")]).await;
    let mut response = asked.await.unwrap().0.unwrap();
    for piece in ["one", "two"] {
        pieces.send(Ok(piece.into())).unwrap();
        assert_eq!(far.news().await, Event::Data(1, piece.into(), false));
        far.send(data(1, false, piece.as_bytes())).await;
        let echoed = response.body.frame().await.unwrap().unwrap();
        assert_eq!(echoed.into_data().unwrap(), piece);
    }
    drop(pieces);
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
    far.send(data(1, true, b"")).await;
    assert!(response.body.frame().await.is_none());
}

/// The request's body goes on though nobody reads the answer.
#[tokio::test]
async fn an_answer_that_is_not_read_does_not_hold_up_its_request() {
    let (connection, mut far) = connected(&plain()).await;
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    far.send_headers(1, false, &[(":status", "200")]).await;
    let _unread = asked.await.unwrap().0.unwrap();
    for _ in 0..10 {
        pieces.send(Ok(Bytes::from_static(b"x"))).unwrap();
        assert_eq!(far.news().await, Event::Data(1, b"x".to_vec(), false));
    }
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_is_cancelled() {
    let (connection, mut far) = connected(&plain()).await;
    // Before its answer.
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    asked.abort();
    assert_eq!(far.news().await, Event::Reset(1, Code::CANCEL));
    // Within its answer, with a body on its way.
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    far.send_headers(3, false, &[(":status", "200")]).await;
    let response = asked.await.unwrap().0.unwrap();
    drop(response);
    assert_eq!(far.news().await, Event::Reset(3, Code::CANCEL));
    settled(&mut far).await;
    assert!(pieces.is_closed(), "the body is dropped");
    assert_eq!(connection.in_flight(), 0);
    // What was on its way is no harm.
    far.send(data(3, false, b"late")).await;
    far.send_headers(1, true, &[(":status", "200")]).await;
    let asked = ask(&connection, asking("GET", Body::empty()));
    assert!(matches!(far.news().await, Event::Headers(5, ..)));
    far.send_headers(5, true, &[(":status", "200")]).await;
    assert!(asked.await.unwrap().0.is_ok());
}

#[tokio::test]
async fn an_early_answer_ends_the_request() {
    let (connection, mut far) = connected(&plain()).await;
    let (pieces, body) = fed();
    let asked = ask(&connection, asking("POST", body));
    far.news().await;
    far.send_headers(1, false, &[(":status", "413")]).await;
    far.send(data(1, true, b"too much")).await;
    far.send(reset(1, Code::NO_ERROR)).await;
    let response = asked.await.unwrap().0.unwrap();
    assert_eq!(far.news().await, Event::Reset(1, Code::CANCEL));
    assert_eq!(
        response.body.collect().await.unwrap().to_bytes(),
        "too much"
    );
    settled(&mut far).await;
    assert!(pieces.is_closed());
}

/// Trailers-only answers of gRPC end with their heads, and no others do.
#[tokio::test]
async fn an_end_apart_from_its_head_is_told_from_one_with_it() {
    let (connection, mut far) = connected(&plain()).await;
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    far.send([headers(1, false, &[(":status", "200")]), data(1, true, b"")].concat())
        .await;
    let mut response = asked.await.unwrap().0.unwrap();
    assert!(!http_body::Body::is_end_stream(&response.body));
    assert!(response.body.frame().await.is_none());
    let asked = ask(&connection, asking("GET", Body::empty()));
    far.news().await;
    far.send(headers(3, true, &[(":status", "200")])).await;
    assert!(asked.await.unwrap().0.unwrap().body.is_empty());
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test]
async fn the_end_of_a_request_stays_apart_from_its_head() {
    let (connection, mut far) = connected(&plain()).await;
    let nothing = http_body_util::Empty::new().map_err(|never| match never {});
    let body = Body::stream(nothing.with_trailers(std::future::ready(None)));
    assert_eq!(http_body::Body::size_hint(&body).exact(), Some(0));
    let _asked = ask(&connection, asking("POST", body));
    assert!(matches!(far.news().await, Event::Headers(1, _, false)));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
}

#[tokio::test]
async fn an_upgrade_is_refused_and_not_forgotten() {
    let (connection, mut far) = connected(&plain()).await;
    let mut request = asking("GET", Body::empty());
    request.upgrade = Some("websocket".parse().unwrap());
    let error = ask(&connection, request).await.unwrap().0.unwrap_err();
    assert_eq!(error.reason(), crate::http::error::UPGRADE_UNSUPPORTED);
    settled(&mut far).await;
}
