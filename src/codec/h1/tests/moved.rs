//! Long bodies that nobody looks at are moved from socket to socket.

use super::client::{came_back, upstream};
use super::*;
use crate::codec::h1::client::exchange;
use crate::http::body::{End, Guard};
use crate::net::pipe::Pipe;

const LENGTH: usize = 100 << 10;

fn content() -> String {
    (0..LENGTH / 10).map(|n| format!("{n:09} ")).collect()
}

struct Told(Arc<std::sync::Mutex<Option<u64>>>);

impl Guard for Told {
    fn end(&mut self, end: End<'_>, passed: u64) {
        assert!(matches!(end, End::Complete));
        *self.0.lock().unwrap() = Some(passed);
    }
}

/// What of `body` can be moved and what comes in pieces, until its end.
async fn parts(mut body: Body) -> (u64, u64) {
    let (to, mut far) = tcp().await;
    let reading = tokio::spawn(async move {
        let mut sink = Vec::new();
        far.0.read_to_end(&mut sink).await
    });
    let mut pipe = Pipe::default();
    let (mut moved, mut read) = (0, 0);
    while !http_body::Body::is_end_stream(&body) {
        if body.can_splice() {
            let count = poll_fn(|cx| body.poll_splice(cx, &mut pipe)).await;
            moved += count.unwrap().expect("a pipe");
            while pipe.held() > 0 {
                poll_fn(|cx| to.poll_drain(cx, &mut pipe)).await.unwrap();
            }
        } else if let Some(frame) = body.frame().await {
            read += frame.unwrap().into_data().unwrap().len() as u64;
        }
    }
    drop(to);
    assert_eq!(reading.await.unwrap().unwrap() as u64, moved);
    (moved, read)
}

#[tokio::test]
async fn the_rest_of_an_answer_is_moved_and_counted() {
    let (io, mut far) = tcp().await;
    let (lent, back) = upstream(io);
    let mut get = request(Method::GET, "/", Body::empty());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let (response, ()) = tokio::join!(exchange(lent, &mut get), async {
        far.read_head().await;
        far.send(head + &content()).await;
    });
    let told = Arc::new(std::sync::Mutex::new(None));
    let body = response.unwrap().body.with_guard(Told(Arc::clone(&told)));
    let (moved, read) = parts(body).await;
    assert_eq!(moved + read, LENGTH as u64);
    assert!(moved >= LENGTH as u64 / 2, "{moved}");
    assert_eq!(*told.lock().unwrap(), Some(LENGTH as u64));
    assert!(came_back(&back));
}

#[tokio::test]
async fn the_rest_of_a_request_is_moved() {
    let (io, mut far) = tcp().await;
    let mut server = connection(io);
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
    let sending = tokio::spawn(async move {
        far.send(head + &content()).await;
        far
    });
    let (_, body) = next(&mut server).await;
    let (moved, read) = parts(body).await;
    assert_eq!(moved + read, LENGTH as u64);
    assert!(moved >= LENGTH as u64 / 2, "{moved}");
    sending.await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_chunked_or_no_tcp_stream_is_read() {
    let (io, mut far) = unix();
    let mut server = connection(io);
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
    let sending = tokio::spawn(async move { far.send(head + &content()).await });
    let (_, body) = next(&mut server).await;
    assert_eq!(parts(body).await, (0, LENGTH as u64));
    sending.await.unwrap();

    let (io, mut far) = tcp().await;
    let mut server = connection(io);
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("{head}{LENGTH:x}\r\n{}\r\n0\r\n\r\n", content());
    let sending = tokio::spawn(async move {
        far.send(chunk).await;
        far
    });
    let (_, body) = next(&mut server).await;
    assert_eq!(parts(body).await, (0, LENGTH as u64));
    sending.await.unwrap();
}

#[tokio::test]
async fn bytes_behind_the_answer_are_not_moved_and_end_the_connection() {
    let (io, mut far) = tcp().await;
    let (lent, back) = upstream(io);
    let mut get = request(Method::GET, "/", Body::empty());
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n");
    let (response, ()) = tokio::join!(exchange(lent, &mut get), async {
        far.read_head().await;
        far.send(head + &content() + "HTTP/1.1 200 OK\r\n").await;
    });
    let (moved, read) = parts(response.unwrap().body).await;
    assert_eq!(moved + read, LENGTH as u64);
    let quiet = back
        .lock()
        .unwrap()
        .as_ref()
        .is_some_and(|back| back.is_quiet(false));
    assert!(
        !quiet,
        "what waits on it would be taken for the next answer"
    );
}
