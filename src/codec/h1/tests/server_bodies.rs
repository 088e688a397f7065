//! Bodies through the side that callers speak to.

use http::StatusCode;

use super::*;
use crate::http::error::{BAD_REQUEST, CALLER_GONE};

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_chunked_body_arrives_with_its_trailers() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send(POST).await;
    let (_, body) = next(&mut connection).await;
    let feed = async {
        for piece in [
            "3\r",
            "\nab",
            "c\r\n2;x=y\r\nde\r",
            "\n0\r\nX-Sum: 5\r\n",
            "\r\n",
        ] {
            tokio::time::sleep(Duration::from_millis(1)).await;
            far.send(piece).await;
        }
    };
    let (read, ()) = tokio::join!(read_all(body), feed);
    let (data, trailers) = read.unwrap();
    assert_eq!(data, "abcde");
    assert_eq!(trailers.unwrap()["x-sum"], "5");
    assert!(respond(&mut connection, ok(""), true).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn trailers_go_to_callers_who_want_them() {
    for (te, wanted) in [
        ("", false),
        ("TE: trailers\r\n", true),
        ("TE: gzip\r\nTE: deflate;q=0.5, Trailers\r\n", true),
        ("TE: nontrailers\r\n", false),
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{te}\r\n"))
            .await;
        next(&mut connection).await;
        let (send, body) = channel();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        trailers.insert("content-length", "1".parse().unwrap());
        send.send(data("a")).unwrap();
        send.send(Ok(http_body::Frame::trailers(trailers))).unwrap();
        let response = Response::new(StatusCode::OK, body);
        assert!(respond(&mut connection, response, true).await.unwrap());
        let answer = far.read_now();
        let end = if wanted {
            "1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"
        } else {
            "1\r\na\r\n0\r\n\r\n"
        };
        assert!(answer.ends_with(end), "{te} {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_last_chunk_stands_before_the_end() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let large = "x".repeat(5000);
    let body = EndsWithItsPiece(Some(Bytes::from(large.clone())));
    let response = Response::new(StatusCode::OK, Body::stream(body));
    assert!(respond(&mut connection, response, true).await.unwrap());
    let answer = far.read_now();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("1388\r\n{large}\r\n0\r\n\r\n"));
}

/// One piece of unknown length, which knows that it is the last.
struct EndsWithItsPiece(Option<Bytes>);

impl http_body::Body for EndsWithItsPiece {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Item>> {
        std::task::Poll::Ready(self.0.take().map(data))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_body_has_ready_goes_out_at_once() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let (send, body) = channel();
    let events = async {
        far.read_head().await;
        for event in ["one", "two"] {
            send.send(data(event)).unwrap();
            assert_eq!(
                far.read_until(&format!("{event}\r\n")).await,
                format!("3\r\n{event}\r\n")
            );
        }
        drop(send);
        far.read_until("0\r\n\r\n").await;
    };
    let response = Response::new(StatusCode::OK, body);
    let (answered, ()) = tokio::join!(respond(&mut connection, response, true), events);
    assert!(answered.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_to_continue_when_its_body_is_wanted() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    let (head, body) = next(&mut connection).await;
    assert!(head.expects_continue);
    assert_eq!(far.read_now(), "");
    let feed = async {
        assert_eq!(far.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        far.send("abc").await;
    };
    let both = async { tokio::join!(read_all(body), feed).0 };
    let read = attended(&mut connection, both).await.unwrap();
    assert_eq!(read.unwrap().0, "abc");
    assert!(respond(&mut connection, ok(""), true).await.unwrap());
    assert!(far.read_now().starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_did_not_wait_needs_no_continue() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\nabc")
        .await;
    let (_, body) = next(&mut connection).await;
    far.send("def").await;
    assert_eq!(read_all(body).await.unwrap().0, "abcdef");
    assert!(respond(&mut connection, ok(""), true).await.unwrap());
    assert!(far.read_now().starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_body_that_waits_closes_the_connection() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    assert!(!respond(&mut connection, ok("no"), true).await.unwrap());
    let answer = far.read_now();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("connection: close\r\n"),
        "the caller must know that its body is not waited for: {answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_short_unwanted_body_does_not_cost_the_connection() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    let rest = async {
        far.read_until("no").await;
        far.send("x".repeat(30_000) + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
    };
    let (answered, ()) = tokio::join!(respond(&mut connection, ok("no"), true), rest);
    assert!(answered.unwrap());
    assert_eq!(next(&mut connection).await.0.target, "/2");
}

#[tokio::test(start_paused = true)]
async fn cut_and_malformed_bodies_are_told_apart() {
    for (sent, reason) in [
        ("5\r\nab", CALLER_GONE),
        ("5\r\nabcde\r\n", CALLER_GONE),
        ("0\r\nx: y\r\n", CALLER_GONE),
        ("5\r\nabcdefg\r\n", BAD_REQUEST),
        ("five\r\n", BAD_REQUEST),
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(POST).await;
        far.send(sent).await;
        far.finish().await;
        let (_, body) = next(&mut connection).await;
        let error = read_all(body).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{sent:?}");
    }
}

/// As an HTTP/2 upstream does it: the body is read by a task of its own.
#[tokio::test(start_paused = true)]
async fn a_body_may_be_read_from_another_task() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
    )
    .await;
    let (_, body) = next(&mut connection).await;
    let caller = tokio::spawn(async move {
        assert_eq!(far.read_head().await, "HTTP/1.1 100 Continue\r\n\r\n");
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            far.send("x".repeat(10_000)).await;
        }
        far
    });
    let read = tokio::spawn(read_all(body));
    let both = async {
        let read = read.await.unwrap().unwrap();
        assert_eq!(read.0.len(), 100_000);
        caller.await.unwrap()
    };
    let far = attended(&mut connection, both).await.unwrap();
    // At the end of the body the connection's task takes over watching for the end.
    drop(far);
    let gone = attended(&mut connection, std::future::pending::<()>());
    let gone = tokio::time::timeout(Duration::from_secs(1), gone).await;
    assert!(gone.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_connection_hears_of_a_body_that_ended_elsewhere() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    let read = tokio::spawn(read_all(body));
    let feed = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        far.send("abc").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(far);
    });
    let start = tokio::time::Instant::now();
    let gone = attended(&mut connection, std::future::pending::<()>()).await;
    assert!(gone.is_none());
    assert_eq!(start.elapsed().as_secs(), 2);
    read.await.unwrap().unwrap();
    feed.await.unwrap();
}

/// When the answer is complete nobody may read on: what follows belongs to the connection again.
#[tokio::test(start_paused = true)]
async fn a_body_still_read_elsewhere_ends_with_the_answer() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n0123456789")
        .await;
    let (_, mut body) = next(&mut connection).await;
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.data_ref().unwrap(), "0123456789");
    let reading = tokio::spawn(read_all(body));
    let rest = async {
        far.read_until("ok").await;
        far.send("abcdefghijGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
    };
    let (answered, ()) = tokio::join!(respond(&mut connection, ok("ok"), true), rest);
    assert!(answered.unwrap());
    assert_eq!(next(&mut connection).await.0.target, "/2");
    let start = tokio::time::Instant::now();
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.reason(), CALLER_GONE);
    assert_eq!(start.elapsed().as_secs(), 0, "it must hear of it at once");
}
