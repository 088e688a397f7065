use bytes::BytesMut;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use crate::error::REQUEST_TIMEOUT;

const SETTINGS: Settings = Settings {
    max_concurrent_streams: 100,
    max_header_bytes: 60 << 10,
    max_headers: 100,
    body_timeout: Duration::from_secs(60),
    idle_timeout: Duration::from_secs(3600),
    close_timeout: Duration::from_secs(10),
};
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// SETTINGS with a window of 0 for every stream.
const NO_WINDOW: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0";
const EMPTY_SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// HEADERS of stream 1: GET http / from the static table, END_HEADERS and END_STREAM.
const GET: &[u8] = b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";
/// The same with POST, and a body to come.
const POST: &[u8] = b"\0\0\x03\x01\x04\0\0\0\x01\x83\x86\x84";

/// A connection whose caller has sent these bytes, to be served.
async fn connected(sent: &[&[u8]]) -> (Io, UnixStream) {
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(&[PREFACE, &sent.concat()].concat())
        .await
        .unwrap();
    (Io::Unix(near), far)
}

async fn read_all(mut far: UnixStream) -> BytesMut {
    let mut read = BytesMut::new();
    while far.read_buf(&mut read).await.is_ok_and(|n| n > 0) {}
    read
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_takes_nothing_is_left() {
    let (io, far) = connected(&[NO_WINDOW, GET]).await;
    let start = Instant::now();
    let answer = |_, _| async { Response::new(StatusCode::OK, Body::full("hello")) };
    let served = serve(io, Bytes::new(), SETTINGS, || false, answer);
    let (served, _) = tokio::join!(served, read_all(far));
    served.unwrap();
    assert_eq!(start.elapsed(), WRITE_STALL);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_slow_to_come_is_no_stall() {
    let (io, far) = connected(&[EMPTY_SETTINGS, GET]).await;
    let start = Instant::now();
    let answer = |_, _| async {
        let mut pieces = 0;
        let stream = futures_util::stream::poll_fn(move |_| {
            pieces += 1;
            match pieces {
                1 => Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from("a"))))),
                _ => Poll::Pending,
            }
        });
        let body = http_body_util::StreamBody::new(stream);
        Response::new(StatusCode::OK, Body::stream(body))
    };
    let served = serve(io, Bytes::new(), SETTINGS, || false, answer);
    let waited = tokio::time::timeout(4 * WRITE_STALL, async {
        tokio::join!(served, read_all(far))
    });
    assert!(waited.await.is_err());
    assert_eq!(start.elapsed(), 4 * WRITE_STALL);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_before_its_answer_fails() {
    let (io, far) = connected(&[EMPTY_SETTINGS, POST]).await;
    let start = Instant::now();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let answer = move |_, mut body: Body| {
        let tell = tell.clone();
        async move {
            let frame = http_body_util::BodyExt::frame(&mut body).await;
            tell.send(frame.unwrap().unwrap_err().reason()).unwrap();
            Response::new(StatusCode::REQUEST_TIMEOUT, Body::empty())
        }
    };
    tokio::select! {
        _ = serve(io, Bytes::new(), SETTINGS, || false, answer) => panic!("the connection goes on"),
        reason = told.recv() => assert_eq!(reason, Some(REQUEST_TIMEOUT)),
    }
    assert_eq!(start.elapsed(), SETTINGS.body_timeout);
    drop(far);
}
