//! Upstreams that break off, or break the rules.

use super::client::{came_back, upstream};
use super::*;
use crate::codec::h1::client::exchange;
use crate::http::error::{Progress, UPSTREAM_PROTOCOL_ERROR, UPSTREAM_RESET};

fn get() -> Request {
    request(Method::GET, "/", Body::empty())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_could_be_read_in_two_ways_is_refused() {
    let mut endless = "HTTP/1.1 200 OK\r\n".to_owned();
    endless.extend((0..300).map(|n| format!("x-{n}: y\r\n")));
    for answer in [
        "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "hello\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        &endless,
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        far.send(answer).await;
        far.finish().await;
        let error = exchange(lent, &mut get()).await.expect_err(answer);
        assert_eq!(error.reason(), UPSTREAM_PROTOCOL_ERROR, "{answer}");
        assert_eq!(error.progress(), Progress::Answering, "{answer}");
        assert!(!came_back(&back));
    }
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_was_not_asked_for_is_refused() {
    for (asked, answer) in [
        ("websocket", "Upgrade: h2c\r\n"),
        ("websocket", "Upgrade: websocket, h2c\r\n"),
        ("websocket", ""),
    ] {
        let (io, mut far) = unix();
        let (lent, _) = upstream(io);
        let mut request = get();
        request.upgrade = Some(asked.parse().unwrap());
        far.send(format!(
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n{answer}\r\n"
        ))
        .await;
        let error = exchange(lent, &mut request).await.expect_err(answer);
        assert_eq!(error.reason(), UPSTREAM_PROTOCOL_ERROR, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn how_far_a_broken_exchange_had_got() {
    for (answer, progress) in [
        ("", Progress::Sent),
        ("HTTP/1.1 200 OK\r\n", Progress::Answering),
        ("HTTP/1.1 100 Continue\r\n\r\n", Progress::Answering),
    ] {
        let (io, mut far) = unix();
        let (lent, _) = upstream(io);
        far.send(answer).await;
        far.finish().await;
        let error = exchange(lent, &mut get()).await.expect_err(answer);
        assert_eq!(error.reason(), UPSTREAM_RESET);
        assert_eq!(error.progress(), progress, "{answer:?}");
    }
    let (io, far) = unix();
    drop(far);
    let (lent, _) = upstream(io);
    let error = exchange(lent, &mut get()).await.unwrap_err();
    assert_eq!(error.progress(), Progress::Unsent);
}

#[tokio::test(start_paused = true)]
async fn a_cut_body_is_an_error() {
    for answer in [
        "Content-Length: 5\r\n\r\nab",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n",
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        far.send(format!("HTTP/1.1 200 OK\r\n{answer}")).await;
        far.finish().await;
        let response = exchange(lent, &mut get()).await.unwrap();
        let error = read_all(response.body).await.unwrap_err();
        assert_eq!(error.reason(), UPSTREAM_RESET, "{answer}");
        assert_eq!(error.progress(), Progress::Answering);
        assert!(!came_back(&back));
    }
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    far.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
        .await;
    let response = exchange(lent, &mut get()).await.unwrap();
    let error = read_all(response.body).await.unwrap_err();
    assert_eq!(error.reason(), UPSTREAM_PROTOCOL_ERROR);
}

#[tokio::test(start_paused = true)]
async fn a_body_given_up_closes_the_connection() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    far.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        .await;
    let response = exchange(lent, &mut get()).await.unwrap();
    drop(response);
    assert!(!came_back(&back));
    far.read_to_end().await;
}
