//! How connections to callers end.

use http::StatusCode;

use super::*;
use crate::http::error::{BAD_REQUEST, CALLER_GONE, REQUEST_TIMEOUT, UPSTREAM_RESET};

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_is_noticed() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    drop(far);
    let gone = attended(&mut connection, std::future::pending::<()>()).await;
    assert!(gone.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_an_endless_answer_is_noticed() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let (_send, body) = channel();
    let leaves = async {
        far.read_head().await;
        drop(far);
    };
    let response = Response::new(StatusCode::OK, body);
    let (answered, ()) = tokio::join!(respond(&mut connection, response, true), leaves);
    assert_eq!(answered.unwrap_err().reason(), CALLER_GONE);
}

#[tokio::test(start_paused = true)]
async fn the_end_between_requests_and_within_a_head_is_just_the_end() {
    for sent in ["", "\r\n", "GET / HT"] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(sent).await;
        drop(far);
        assert!(
            connection
                .next(|| false, |head, body| (head, body))
                .await
                .unwrap()
                .is_none()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_body_that_cannot_be_read_says_that_it_is_the_last() {
    for (body, reason) in [
        ("x\r\n", BAD_REQUEST),
        ("3\r\nabcd\r\n", BAD_REQUEST),
        ("3\r\nab", REQUEST_TIMEOUT),
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        far.send(format!("{head}{body}")).await;
        let (_, body) = next(&mut connection).await;
        let error = attended(&mut connection, read_all(body)).await.unwrap();
        assert_eq!(error.unwrap_err().reason(), reason);
        assert!(!respond(&mut connection, ok("refused"), true).await.unwrap());
        assert!(far.read_head().await.contains("connection: close"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_request_is_answered_without_a_body() {
    for sent in [
        "HEAD / HTTP/1.1\r\n\r\n",
        "\r\nHEAD / HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost : a\r\n\r\n",
        // Where the target is missing, or does not come.
        "HEAD \r\nHost: a\r\n\r\n",
        "HEAD\r\n\r\n",
        "HEAD\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD ",
        "HEAD /",
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(sent).await;
        connection
            .next(|| false, |head, body| (head, body))
            .await
            .unwrap_err();
        respond(&mut connection, ok("refused"), false)
            .await
            .unwrap();
        close(connection).await;
        far.finish().await;
        let answer = far.read_to_end().await;
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

/// Closing a TCP socket with unread bytes resets it, and the caller may lose the answer.
#[tokio::test]
async fn an_early_answer_arrives_although_the_caller_goes_on_sending() {
    let (io, mut far) = tcp().await;
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    let caller = tokio::spawn(async move {
        far.send(vec![b'x'; 6_000_000]).await;
        far.finish().await;
        far.read_to_end().await
    });
    assert!(
        !respond(&mut connection, ok("too much"), false)
            .await
            .unwrap()
    );
    close(connection).await;
    assert!(caller.await.unwrap().ends_with("too much"));
}

#[tokio::test]
async fn the_answer_to_a_refused_head_arrives_although_a_body_follows() {
    let (io, mut far) = tcp().await;
    let mut connection = connection(io);
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
    // The body stands beyond what the first read takes.
    far.send(format!("{head}{}", "x".repeat(100_000))).await;
    let error = connection
        .next(|| false, |head, body| (head, body))
        .await
        .unwrap_err();
    let response = Response::new(error.status(), Body::full("refused"));
    assert!(!respond(&mut connection, response, false).await.unwrap());
    let caller = async {
        far.finish().await;
        far.read_to_end().await
    };
    let (answer, ()) = tokio::join!(caller, close(connection));
    assert!(answer.starts_with("HTTP/1.1 400") && answer.ends_with("refused"));
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

/// The end of the head coincides with the end of the first read.
#[tokio::test]
async fn bytes_that_nobody_has_read_yet_do_not_reset_the_last_answer() {
    let (io, mut far) = tcp().await;
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    assert!(!respond(&mut connection, ok("last"), false).await.unwrap());
    // The event loop has not heard of it, and the caller does not know yet that this was the last.
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let caller = async {
        far.finish().await;
        far.read_to_end().await
    };
    let (answer, ()) = tokio::join!(caller, close(connection));
    assert!(answer.ends_with("last"));
}

/// A caller must send nothing behind a request that it called its last. Most of those who do have done so when the
/// answer comes.
#[tokio::test]
async fn more_than_a_last_request_does_not_reset_its_answer() {
    for last in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
    ] {
        let (io, mut far) = tcp().await;
        let mut connection = connection(io);
        far.send(last).await;
        next(&mut connection).await;
        far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        // The event loop has a turn, as while an upstream is asked.
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!respond(&mut connection, ok("last"), true).await.unwrap());
        let caller = async {
            far.finish().await;
            far.read_to_end().await
        };
        let (answer, ()) = tokio::join!(caller, close(connection));
        assert!(answer.ends_with("last"), "{answer}");
    }
}

/// The kernel sends one segment instead of two, and the caller wakes once.
#[tokio::test]
async fn the_last_bytes_of_an_answer_leave_with_the_end_of_the_connection() {
    for (last, framing) in [("HTTP/1.1", "Connection: close\r\n"), ("HTTP/1.0", "")] {
        let (io, mut far) = tcp().await;
        let mut connection = connection(io);
        far.send(format!("GET / {last}\r\nHost: a\r\n{framing}\r\n"))
            .await;
        next(&mut connection).await;
        assert!(!respond(&mut connection, ok("whole"), true).await.unwrap());
        assert_eq!(far.read_now(), "");
        close(connection).await;
        let answer = far.read_now();
        assert!(answer.ends_with("whole"), "{answer}");
        assert_eq!(far.read_to_end().await, "");
    }
}

#[tokio::test]
async fn a_connection_ends_although_the_body_of_its_request_is_still_held() {
    let (io, mut far) = tcp().await;
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n")
        .await;
    let (_, mut body) = next(&mut connection).await;
    far.send("abc").await;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
    assert!(!respond(&mut connection, ok("whole"), true).await.unwrap());
    close(connection).await;
    let answer = tokio::time::timeout(Duration::from_secs(5), far.read_to_end()).await;
    assert!(answer.unwrap().ends_with("whole"));
    drop(body);
}

/// Before the connection can end, what the caller still sends is read for a while.
#[tokio::test]
async fn an_answer_does_not_wait_for_a_body_that_nobody_wants() {
    let (io, mut far) = tcp().await;
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    let start = std::time::Instant::now();
    respond(&mut connection, ok("no"), false).await.unwrap();
    let caller = async {
        far.read_until("no").await;
        let waited = start.elapsed();
        far.finish().await;
        waited
    };
    let (waited, ()) = tokio::join!(caller, close(connection));
    assert!(waited < Duration::from_millis(150), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn lingering_ends() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    respond(&mut connection, ok("no"), false).await.unwrap();
    let start = tokio::time::Instant::now();
    close(connection).await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert!(far.read_to_end().await.ends_with("no"));
}

#[tokio::test(start_paused = true)]
async fn a_cut_answer_does_not_look_whole() {
    let broken = || Error::new(UPSTREAM_RESET, "cut");
    let (io, mut far) = unix();
    let mut chunked = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut chunked).await;
    let (send, body) = channel();
    send.send(data("some")).unwrap();
    send.send(Err(broken())).unwrap();
    let response = Response::new(StatusCode::OK, body);
    let error = respond(&mut chunked, response, true).await.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_RESET);
    drop(chunked);
    let answer = far.read_to_end().await;
    assert!(answer.ends_with("\r\n\r\n4\r\nsome\r\n"), "{answer}");

    let (io, mut far) = tcp().await;
    let mut until_close = connection(io);
    far.send("GET / HTTP/1.0\r\n\r\n").await;
    next(&mut until_close).await;
    let (send, body) = channel();
    let cut = async {
        far.read_head().await;
        send.send(data("some")).unwrap();
        far.read_until("some").await;
        send.send(Err(broken())).unwrap();
    };
    let response = Response::new(StatusCode::OK, body);
    let (answered, ()) = tokio::join!(respond(&mut until_close, response, true), cut);
    assert!(answered.is_err());
    drop(until_close);
    let end = far.0.read_u8().await.unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_disagrees_with_its_length_does_not_shift_what_follows() {
    for sent in ["abc", "abcdefg"] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        next(&mut connection).await;
        let (send, body) = channel();
        send.send(data(sent)).unwrap();
        drop(send);
        let response = Response::new(StatusCode::OK, Body::stream(Claims(5, body)));
        assert!(
            respond(&mut connection, response, true).await.is_err(),
            "{sent}"
        );
        drop(connection);
        let answer = far.read_to_end().await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.len() <= 5, "{answer}");
    }
}

/// A body that lies about its length.
pub(super) struct Claims(pub(super) u64, pub(super) Body);

impl http_body::Body for Claims {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Item>> {
        std::pin::Pin::new(&mut self.1).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}
