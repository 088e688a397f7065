//! A client on one end of a socket pair, and a test that plays the upstream on the other.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;

use super::*;
use crate::codec::h2::frame::{self, Code};
use crate::codec::h2::testing::*;
use crate::http::body::Body;
use crate::http::error::{INTERNAL, Progress, UPSTREAM_PROTOCOL_ERROR};
use crate::testing::{Caller, request};

mod ends;
mod oracle;

/// A connection, and an upstream that has greeted.
pub(super) async fn connected(settings: &[u8]) -> (Connection, Far) {
    let (io, mut far) = pair();
    let connection = Connection::new(io);
    far.skip_preface().await;
    far.send(settings).await;
    (connection, far)
}

pub(super) fn plain() -> Vec<u8> {
    frame(frame::SETTINGS, 0, 0, &[])
}

pub(super) fn asking(method: &str, body: Body) -> Box<Request> {
    let mut request = request(method, "/a?b");
    request.authority = Some("shop.example".parse().unwrap());
    request.body = body;
    request
}

/// An exchange in the background; its request comes back with its outcome.
pub(super) fn ask(
    connection: &Connection,
    mut request: Box<Request>,
) -> tokio::task::JoinHandle<(Result<Response, Error>, Box<Request>)> {
    let mut connection = connection.clone();
    tokio::spawn(async move {
        let outcome = connection.exchange(&mut request, || ()).await;
        (outcome.map(|response| *response), request)
    })
}

/// A body whose pieces the test sends.
pub(super) fn fed() -> (
    tokio::sync::mpsc::UnboundedSender<Result<Bytes, Error>>,
    Body,
) {
    let (pieces, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| {
        let piece = std::task::ready!(receiver.poll_recv(cx));
        std::task::Poll::Ready(
            piece.map(|piece: Result<Bytes, Error>| piece.map(http_body::Frame::data)),
        )
    });
    (
        pieces,
        Body::stream(http_body_util::StreamBody::new(stream)),
    )
}

pub(super) async fn settled(far: &mut Far) {
    far.send(ping(b"12345678")).await;
    while far.news().await != Event::Ping(frame::ACK, b"12345678".to_vec()) {}
}

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
async fn interim_answers_are_passed_on() {
    let (connection, mut far) = connected(&plain()).await;
    let seen = Arc::new(Caller::default());
    let mut request = asking("GET", Body::empty());
    request.context.interim = Some(seen.clone());
    let asked = ask(&connection, request);
    far.news().await;
    far.send_headers(1, false, &[(":status", "103"), ("link", "</a>")])
        .await;
    far.send_headers(1, false, &[(":status", "103"), ("link", "</b>")])
        .await;
    settled(&mut far).await;
    far.send_headers(1, true, &[(":status", "200")]).await;
    assert!(asked.await.unwrap().0.is_ok());
    let link = |link: &str| Some(link.to_owned());
    assert_eq!(seen.heard(), [(103, link("</a>")), (103, link("</b>"))]);
}

/// A request whose body comes when its caller is asked for it; this one sends it at once when it is read.
fn expecting(caller: &Arc<Caller>) -> Box<Request> {
    let (pieces, body) = fed();
    pieces.send(Ok("hello".into())).unwrap();
    let mut request = asking("POST", body);
    let continued = "100-continue".parse().unwrap();
    request.headers.insert(&http::header::EXPECT, &continued);
    request.context.interim = Some(caller.clone());
    request
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_100_continue_and_not_for_ever() {
    let (connection, mut far) = connected(&plain()).await;
    let expecting = || expecting(&Arc::default());
    let _first = ask(&connection, expecting());
    far.news().await;
    far.send_headers(1, false, &[(":status", "100")]).await;
    let start = Instant::now();
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _second = ask(&connection, expecting());
    far.news().await;
    assert_eq!(far.news().await, Event::Data(3, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(3, vec![], true));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    // A refusal in place of it: the body is not wanted.
    let third = ask(&connection, expecting());
    far.news().await;
    far.send_headers(5, true, &[(":status", "417")]).await;
    assert_eq!(third.await.unwrap().0.unwrap().status, 417);
    assert_eq!(far.news().await, Event::Reset(5, Code::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_unasked_does_not_wait_for_100_continue() {
    let (connection, mut far) = connected(&plain()).await;
    let caller = Arc::new(Caller::default());
    let start = Instant::now();
    let _first = ask(&connection, expecting(&caller));
    far.news().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    caller.begin_body();
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    // It is here already; or all of it is; or nobody could be asked, as HTTP/1.0 knows no expectations.
    let mut whole = expecting(&Arc::default());
    whole.body = Body::full("hello");
    let mut nobody = expecting(&caller);
    nobody.context.interim = None;
    for (stream, request) in [(3, expecting(&caller)), (5, whole), (7, nobody)] {
        let _asked = ask(&connection, request);
        far.news().await;
        let Event::Data(id, content, _) = far.news().await else {
            panic!("no body on stream {stream}");
        };
        assert_eq!((id, &content[..]), (stream, &b"hello"[..]));
        if stream != 5 {
            assert_eq!(far.news().await, Event::Data(stream, vec![], true));
        }
    }
    assert_eq!(start.elapsed(), Duration::from_millis(300));
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
async fn the_upstreams_limit_of_streams_is_kept() {
    const MAX_STREAMS: u16 = 3;
    let (connection, mut far) = connected(&setting(MAX_STREAMS, 2)).await;
    settled(&mut far).await;
    let asked: Vec<_> = (0..4)
        .map(|_| ask(&connection, asking("GET", Body::empty())))
        .collect();
    assert!(matches!(far.news().await, Event::Headers(1, ..)));
    assert!(matches!(far.news().await, Event::Headers(3, ..)));
    settled(&mut far).await;
    assert!(connection.is_busy());
    far.send_headers(1, true, &[(":status", "200")]).await;
    assert!(matches!(far.news().await, Event::Headers(5, ..)));
    // None at all: whoever waits goes on waiting, and can be given up.
    far.send(setting(MAX_STREAMS, 0)).await;
    far.send_headers(3, true, &[(":status", "200")]).await;
    far.send_headers(5, true, &[(":status", "200")]).await;
    settled(&mut far).await;
    let mut asked = asked.into_iter();
    for _ in 0..3 {
        assert!(asked.next().unwrap().await.unwrap().0.is_ok());
    }
    let last = asked.next().unwrap();
    assert!(!last.is_finished());
    let another = ask(&connection, asking("GET", Body::empty()));
    tokio::task::yield_now().await;
    last.abort();
    tokio::task::yield_now().await;
    far.send(setting(MAX_STREAMS, 1)).await;
    assert!(matches!(far.news().await, Event::Headers(7, ..)));
    far.send_headers(7, true, &[(":status", "200")]).await;
    assert!(another.await.unwrap().0.is_ok());
    assert_eq!(connection.in_flight(), 0);
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
async fn a_request_body_waits_for_the_window() {
    let (connection, mut far) = connected(&setting(4, 10)).await;
    settled(&mut far).await;
    let _whole = ask(&connection, asking("POST", Body::full(vec![b'x'; 25])));
    far.news().await;
    assert_eq!(far.news().await, Event::Data(1, vec![b'x'; 10], false));
    settled(&mut far).await;
    far.send(window_update(1, 100)).await;
    assert_eq!(far.news().await, Event::Data(1, vec![b'x'; 15], true));
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

/// As a server does that reads by 512 bytes, and tells so for the stream and for the connection.
#[tokio::test(start_paused = true)]
async fn windows_that_grow_by_what_was_read_are_no_flood() {
    const LENGTH: usize = 8 << 20;
    let (connection, mut far) = connected(&plain()).await;
    let _asked = ask(&connection, asking("POST", Body::full(vec![b'x'; LENGTH])));
    far.news().await;
    let mut left = LENGTH;
    while left > 0 {
        let Event::Data(1, piece, _) = far.news().await else {
            panic!("{left} bytes are missing");
        };
        left -= piece.len();
        for read in piece.chunks(512) {
            let read = read.len() as u32;
            far.send([window_update(0, read), window_update(1, read)].concat())
                .await;
        }
    }
    settled(&mut far).await;
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
