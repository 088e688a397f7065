//! A server on one end of a socket pair, and a test that plays the caller on the other.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use super::*;
use crate::codec::h2::frame::{self, PREFACE};
use crate::codec::h2::stall::WRITE_STALL;
use crate::codec::h2::testing::*;
use crate::http::error::REQUEST_TIMEOUT;

mod bodies;
mod floods;
mod hostile;
mod time;

pub(super) const SETTINGS: Settings = Settings {
    max_concurrent_streams: 100,
    max_header_bytes: 4 << 10,
    max_headers: 100,
    header_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(3600),
};
/// What `SETTINGS_INITIAL_WINDOW_SIZE` is called on the wire.
pub(super) const INITIAL_WINDOW: u16 = 4;

pub(super) type Asked = (Result<RequestHead, Error>, Body, Arc<dyn Interim>);
pub(super) type Answering = Pin<Box<dyn Future<Output = Box<Response>> + Send>>;

pub(super) fn ok(body: impl Into<Bytes>) -> Box<Response> {
    Box::new(Response::new(StatusCode::OK, Body::full(body)))
}

/// Serves in the background; the far end has greeted.
pub(super) async fn serving(answer: impl Fn(Asked) -> Answering + Send + Sync + 'static) -> Far {
    serving_with(SETTINGS, frame(frame::SETTINGS, 0, 0, &[]), answer).await
}

pub(super) async fn serving_with(
    settings: Settings,
    first: Vec<u8>,
    answer: impl Fn(Asked) -> Answering + Send + Sync + 'static,
) -> Far {
    let (io, mut far) = pair();
    far.greet(&first).await;
    tokio::spawn(async move {
        let answer = move |head, body, interim| answer((head, body, interim));
        let _ended = serve_streams(io, BytesMut::new(), settings, || false, answer, |_| ()).await;
    });
    far
}

/// Answers that say what was asked.
pub(super) fn echo((head, body, _): Asked) -> Answering {
    Box::pin(async move {
        match head {
            Ok(head) => {
                let mut response = Response::new(StatusCode::OK, body);
                response.headers = head.headers;
                Box::new(response)
            }
            Err(error) => Box::new(Response::new(error.status(), Body::empty())),
        }
    })
}

pub(super) fn status(event: &Event) -> &str {
    match event {
        Event::Headers(_, fields, _) => fields[0].strip_prefix(":status: ").unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_answered_and_its_stream_ends() {
    let mut far = serving(|(head, _, _)| {
        let head = head.unwrap();
        assert_eq!(head.method, Method::GET);
        Box::pin(async { ok("hello") })
    })
    .await;
    far.send(get(1)).await;
    let fields = vec![":status: 200".to_owned(), "content-length: 5".to_owned()];
    assert_eq!(far.news().await, Event::Headers(1, fields, false));
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), true));
}

/// Whatever the pieces in which frames arrive.
#[tokio::test]
async fn every_split_of_the_wire_is_read_alike() {
    let wire = [
        PREFACE.to_vec(),
        frame(frame::SETTINGS, 0, 0, &[]),
        post(1, &[("x-a", "1")]),
        data(1, false, b"hel"),
        data(1, true, b"lo"),
        get(3),
    ]
    .concat();
    for cut in 0..wire.len() {
        let (io, mut far) = pair();
        let (first, second) = (wire[..cut].to_vec(), wire[cut..].to_vec());
        tokio::spawn(async move {
            let early = BytesMut::from(&first[..]);
            let answer = |head, body, interim| echo((head, body, interim));
            let _ended = serve_streams(io, early, SETTINGS, || false, answer, |_| ()).await;
        });
        tokio::task::yield_now().await;
        far.send(second).await;
        let (mut content, mut ended) = (Vec::new(), 0);
        while ended < 2 {
            match far.news().await {
                Event::Data(1, piece, ends) => {
                    content.extend_from_slice(&piece);
                    ended += usize::from(ends);
                }
                Event::Headers(_, _, ends) => ended += usize::from(ends),
                other => panic!("{cut}: {other:?}"),
            }
        }
        assert_eq!(content, b"hello", "{cut}");
    }
}

#[tokio::test]
async fn pings_and_settings_are_acknowledged() {
    let mut far = serving(echo).await;
    far.send(ping(b"12345678")).await;
    let mut events = vec![far.next().await, far.next().await, far.next().await];
    events.push(far.next().await);
    assert!(events.contains(&Event::SettingsAck));
    assert!(events.contains(&Event::Ping(frame::ACK, b"12345678".to_vec())));
}

#[tokio::test]
async fn interim_answers_come_before_the_answer_and_not_behind_it() {
    let mut far = serving(|(_, mut body, interim)| {
        Box::pin(async move {
            let mut hints = crate::http::headers::Headers::new();
            hints.insert_text(&http::header::LINK, "</a>; rel=preload");
            interim.send(StatusCode::EARLY_HINTS, &hints);
            let content = body.frame().await.unwrap().unwrap().into_data().unwrap();
            tokio::spawn(async move { interim.send(StatusCode::EARLY_HINTS, &hints) });
            ok(content)
        })
    })
    .await;
    far.send(post(1, &[("expect", "100-continue")])).await;
    assert_eq!(status(&far.news().await), "103");
    assert_eq!(status(&far.news().await), "100");
    far.send(data(1, true, b"hello")).await;
    assert_eq!(status(&far.news().await), "200");
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), true));
    far.send(ping(b"afterall")).await;
    assert!(matches!(far.news().await, Event::Ping(..)), "and no 103");
}

#[tokio::test]
async fn an_answer_may_come_before_the_end_of_its_request() {
    let mut far = serving(|_| Box::pin(async { ok("early") })).await;
    far.send(post(1, &[])).await;
    assert_eq!(status(&far.news().await), "200");
    assert_eq!(far.news().await, Event::Data(1, b"early".to_vec(), true));
    assert_eq!(far.news().await, Event::Reset(1, Code::NO_ERROR));
    // What was on its way already is no mistake.
    far.send(data(1, false, b"late")).await;
    far.send(headers(1, true, &[("x-late", "1")])).await;
    far.send(get(3)).await;
    assert_eq!(status(&far.news().await), "200");
}

/// The future of a request that was reset is dropped at once: so much work cannot pile up.
#[tokio::test]
async fn a_reset_ends_what_is_under_way() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let running = Arc::new(AtomicUsize::new(0));
    let counted = running.clone();
    let mut far = serving(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let count = Count(counted.clone());
        Box::pin(async move {
            let _count = count;
            std::future::pending().await
        })
    })
    .await;
    far.send([get(1), get(3), ping(b"11111111")].concat()).await;
    far.news().await;
    assert_eq!(running.load(Ordering::SeqCst), 2);
    far.send([reset(1, Code::CANCEL), ping(b"22222222")].concat())
        .await;
    far.news().await;
    assert_eq!(running.load(Ordering::SeqCst), 1);
    drop(far);
    while running.load(Ordering::SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}

/// One stream with much to send does not keep the others waiting.
#[tokio::test]
async fn streams_take_turns() {
    let wide = [setting(INITIAL_WINDOW, 1 << 30), window_update(0, 1 << 30)].concat();
    let mut far = serving_with(SETTINGS, wide, |(head, _, _)| {
        let fat = head.unwrap().method == Method::POST;
        Box::pin(async move { ok(vec![b'x'; if fat { 8 << 20 } else { 1000 }]) })
    })
    .await;
    let fat = headers(
        1,
        true,
        &[(":method", "POST"), (":scheme", "http"), (":path", "/")],
    );
    far.send([fat, get(3), get(5)].concat()).await;
    let mut before = 0;
    let mut small = 0;
    while small < 2 {
        match far.news().await {
            Event::Data(1, piece, _) => before += piece.len(),
            Event::Data(_, _, true) => small += 1,
            _ => {}
        }
    }
    assert!(
        before <= 128 << 10,
        "{before} bytes of the fat one came first"
    );
}

#[tokio::test]
async fn requests_are_started_in_order() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = order.clone();
    let mut far = serving(move |(head, _, _)| {
        let path = head.unwrap().target.path().to_owned();
        noted.lock().unwrap().push(path);
        Box::pin(async { ok("") })
    })
    .await;
    let mut wire = Vec::new();
    for stream in 0..5u32 {
        let path = format!("/{stream}");
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", &*path)];
        wire.extend(headers(2 * stream + 1, true, &fields));
    }
    far.send(wire).await;
    for _ in 0..5 {
        assert_eq!(status(&far.news().await), "200");
    }
    assert_eq!(*order.lock().unwrap(), ["/0", "/1", "/2", "/3", "/4"]);
}
