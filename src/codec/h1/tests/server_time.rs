//! Time limits on the side that callers speak to.

use http::StatusCode;
use tokio::time::Instant;

use super::*;
use crate::http::error::{CALLER_GONE, REQUEST_TIMEOUT};

#[tokio::test(start_paused = true)]
async fn a_slow_head_times_out_from_its_first_byte() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    let caller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        for byte in b"GET / HTTP/1.1\r\n" {
            far.send([*byte]).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        far
    });
    let start = Instant::now();
    let error = connection
        .next(|| false, |head, body| (head, body))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), REQUEST_TIMEOUT);
    assert_eq!(start.elapsed().as_secs(), 110);
    drop(caller.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n").await;
    next(&mut connection).await;
    assert!(respond(&mut connection, ok("a"), true).await.unwrap());
    let start = Instant::now();
    assert!(
        connection
            .next(|| false, |head, body| (head, body))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(start.elapsed().as_secs(), 3600);
}

#[tokio::test(start_paused = true)]
async fn draining_leaves_a_request_on_its_way_a_moment() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    let start = Instant::now();
    let sent = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    };
    let (request, ()) = tokio::join!(connection.next(|| true, |head, body| (head, body)), sent);
    assert!(request.unwrap().is_some());
    assert!(respond(&mut connection, ok("a"), true).await.unwrap());
    assert!(
        connection
            .next(|| true, |head, body| (head, body))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(start.elapsed(), Duration::from_millis(800));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_times_out_after_its_last_piece() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab")
        .await;
    let (_, body) = next(&mut connection).await;
    let start = Instant::now();
    let feed = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        far.send("cd").await;
    };
    let (read, ()) = tokio::join!(read_all(body), feed);
    assert_eq!(read.unwrap_err().reason(), REQUEST_TIMEOUT);
    assert_eq!(start.elapsed().as_secs(), 110);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_pause_once_its_answer_has_begun() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        .await;
    let (_, body) = next(&mut connection).await;
    // Every piece of the request is one of the answer.
    let answering = respond(&mut connection, Response::new(StatusCode::OK, body), true);
    let start = Instant::now();
    let calling = async {
        far.read_until("ab").await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        far.send("cd").await;
        far.read_until("cd").await;
    };
    let (answered, ()) = tokio::join!(answering, calling);
    assert!(answered.unwrap());
    assert_eq!(start.elapsed().as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_body_does_not_inherit_the_time_of_another() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    far.send(post).await;
    let (_, mut body) = next(&mut connection).await;
    assert!(futures_util::poll!(Box::pin(body.frame())).is_pending());
    drop(body);
    far.send("abcd").await;
    assert!(respond(&mut connection, ok("early"), true).await.unwrap());
    tokio::time::sleep(Duration::from_secs(300)).await;

    far.send(post).await;
    let (_, body) = next(&mut connection).await;
    let feed = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        far.send("efgh").await;
    };
    let (read, ()) = tokio::join!(read_all(body), feed);
    assert_eq!(read.unwrap().0, "efgh");
}

#[tokio::test(start_paused = true)]
async fn back_pressure_is_no_stall() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
        .await;
    let (_, mut body) = next(&mut connection).await;
    assert!(futures_util::poll!(Box::pin(body.frame())).is_pending());
    far.send("ab").await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "ab"
    );
    far.send("cd").await;
    assert_eq!(read_all(body).await.unwrap().0, "cd");
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_takes_nothing_is_given_up() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let start = Instant::now();
    let error = respond(&mut connection, ok(vec![b'x'; 8 << 20]), true)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), CALLER_GONE);
    assert_eq!(start.elapsed().as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_takes_little_is_not_given_up() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let length = 8 << 20;
    let slow = async {
        far.read_head().await;
        let mut left = length;
        let mut some = vec![0; 1 << 20];
        while left > 0 {
            tokio::time::sleep(Duration::from_secs(200)).await;
            left -= far.0.read_exact(&mut some).await.unwrap();
        }
    };
    let response = Response::new(StatusCode::OK, Body::full(vec![b'x'; length]));
    let (answered, ()) = tokio::join!(respond(&mut connection, response, true), slow);
    assert!(answered.unwrap());
}
