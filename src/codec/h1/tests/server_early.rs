//! Answers that come before the end of their requests: whether the connection goes on, and what its head says of it.

use http::StatusCode;

use super::server_ends::Claims;
use super::*;

const NEXT: &str = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n";

/// The answer to a request of which `sent` is here, as it looks to its caller, and whether the connection goes on.
async fn answered(fields: &str, sent: &str, response: Response) -> (String, bool) {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
        .await;
    let (_, body) = next(&mut connection).await;
    drop(body);
    far.send(sent).await;
    let rest = async {
        let head = far.read_head().await;
        far.finish().await;
        head
    };
    let (goes_on, head) = tokio::join!(respond(&mut connection, response, true), rest);
    (head, goes_on.unwrap())
}

fn streaming(status: StatusCode) -> Response {
    Response::new(status, pieces(&["an", "swer"]))
}

fn whole(status: StatusCode) -> Response {
    Response::new(status, Body::full("answer"))
}

#[tokio::test(start_paused = true)]
async fn an_answer_before_the_end_of_a_long_body_says_that_it_is_the_last() {
    let (refused, fine) = (StatusCode::PAYLOAD_TOO_LARGE, StatusCode::OK);
    let long = "Content-Length: 10000000\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (fields, sent, response) in [
        (long, "abc", whole(refused)),
        (long, "abc", streaming(refused)),
        (long, "", whole(fine)),
        (
            long,
            "",
            Response::new(fine, Body::stream(Claims(0, pieces(&[])))),
        ),
        (chunked, "3\r\nabc\r\n", whole(refused)),
        (chunked, "3\r\nabc\r\n", streaming(refused)),
        (chunked, "", whole(fine)),
        (chunked, "nonsense\r\n", whole(refused)),
    ] {
        let (head, goes_on) = answered(fields, sent, response).await;
        assert!(head.contains("connection: close\r\n"), "{sent} {head}");
        assert!(!goes_on, "{sent} {head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_or_whole_rest_of_a_body_does_not_end_the_connection() {
    let refused = StatusCode::PAYLOAD_TOO_LARGE;
    let short = "Content-Length: 6\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let ended = "6\r\nabcdef\r\n0\r\nx-sum: 1\r\n\r\n";
    for (fields, sent, response) in [
        (short, "abcdef", whole(refused)),
        (short, "abcdef", streaming(refused)),
        (chunked, ended, whole(refused)),
        (chunked, ended, streaming(StatusCode::OK)),
    ] {
        let (head, goes_on) = answered(fields, sent, response).await;
        assert!(!head.contains("connection: close\r\n"), "{sent} {head}");
        assert!(goes_on, "{sent} {head}");
    }
}

/// The upstream may read on while it answers; what is left at the end of the answer is read here.
#[tokio::test(start_paused = true)]
async fn what_an_answer_that_streams_leaves_of_a_body_is_read_to_keep_the_promise() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        .await;
    let (_, body) = next(&mut connection).await;
    let caller = async {
        let head = far.read_head().await;
        assert!(!head.contains("close"), "{head}");
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(3)).await;
            far.send("x".repeat(100_000)).await;
        }
        far.send(NEXT).await;
    };
    let answer = respond(&mut connection, streaming(StatusCode::OK), true);
    let (goes_on, ()) = tokio::join!(answer, caller);
    assert!(goes_on.unwrap());
    assert_eq!(next(&mut connection).await.0.target, "/2");
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_does_not_come_or_does_not_end_is_not_read_for_ever() {
    for (stalls, fields) in [
        (true, "Content-Length: 6\r\n"),
        (false, "Transfer-Encoding: chunked\r\n"),
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(format!("PUT / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
            .await;
        next(&mut connection).await;
        let start = tokio::time::Instant::now();
        let caller = tokio::spawn(async move {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            while !stalls && far.0.write_all(chunk.as_bytes()).await.is_ok() {}
            far
        });
        let goes_on = respond(&mut connection, streaming(StatusCode::OK), true).await;
        assert!(!goes_on.unwrap());
        let waited = start.elapsed();
        assert_eq!(waited.as_secs(), if stalls { 60 } else { 0 });
        drop(connection);
        caller.await.unwrap();
    }
}
