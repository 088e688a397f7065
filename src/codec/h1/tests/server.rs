//! Requests one after another, and how their answers are framed.

use http::{Method, StatusCode, Version};

use super::*;

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nPOST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /six HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    for (path, sent, more) in [
        ("/one", "", true),
        ("/two", "abc", true),
        ("/six", "", false),
    ] {
        let (head, body) = next(&mut connection).await;
        assert_eq!(head.target, path);
        assert_eq!(read_all(body).await.unwrap().0, sent);
        assert_eq!(
            respond(&mut connection, ok(path), true).await.unwrap(),
            more,
            "{path}"
        );
        let answer = far.read_until(path).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-length: 4\r\n"), "{answer}");
        assert_eq!(answer.contains("connection: close\r\n"), !more, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_while_the_one_before_it_is_answered() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_, _body) = next(&mut connection).await;
    far.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answered = attended(&mut connection, tokio::time::sleep(Duration::from_secs(5))).await;
    assert!(
        answered.is_some(),
        "a pipelined request is no reason to stop"
    );
    assert!(respond(&mut connection, ok("one"), true).await.unwrap());
    assert_eq!(next(&mut connection).await.0.target, "/2");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pipelined_requests_is_held_back() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    let flood = tokio::spawn(async move {
        let request = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1 << 16);
        let sent = far.0.write_all(&request);
        assert!(
            tokio::time::timeout(Duration::from_secs(60), sent)
                .await
                .is_err(),
            "somebody took two megabytes of requests that nobody answers"
        );
    });
    let (_, _body) = next(&mut connection).await;
    let answered = attended(&mut connection, flood).await;
    answered.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body_keep_their_frame() {
    let length = || {
        let (name, value) = field("content-length", "5");
        let mut headers = Headers::new();
        headers.append(&name, &value);
        headers
    };
    for (method, status, has_length) in [
        ("HEAD", StatusCode::OK, true),
        ("GET", StatusCode::NOT_MODIFIED, true),
        ("GET", StatusCode::NO_CONTENT, false),
    ] {
        let (io, mut far) = unix();
        let mut connection = connection(io);
        far.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        next(&mut connection).await;
        let mut response = Response::new(status, Body::empty());
        response.headers = length();
        assert!(respond(&mut connection, response, true).await.unwrap());
        let answer = far.read_now();
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(
            answer.contains("content-length: 5\r\n"),
            has_length,
            "{answer}"
        );
        assert_eq!(
            answer.matches("content-length").count(),
            has_length as usize
        );
    }
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    respond(&mut connection, ok(""), true).await.unwrap();
    assert!(far.read_now().contains("content-length: 0\r\n"));
}

#[tokio::test(start_paused = true)]
async fn a_head_request_hears_how_long_the_body_would_be() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    assert!(respond(&mut connection, ok("hello"), true).await.unwrap());
    assert_eq!(
        far.read_now(),
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_framing_of_an_answer_is_made_here() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let mut response = ok("four");
    for (name, value) in [
        field("content-length", "9"),
        field("transfer-encoding", "chunked"),
        field("connection", "x-private, close"),
        field("keep-alive", "timeout=5"),
        field("upgrade", "h2c"),
        field("x-kept", "yes"),
    ] {
        response.headers.append(&name, &value);
    }
    assert!(respond(&mut connection, response, true).await.unwrap());
    assert_eq!(
        far.read_now(),
        "HTTP/1.1 200 OK\r\nx-kept: yes\r\ncontent-length: 4\r\n\r\nfour"
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_caller_gets_an_old_answer() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    let (head, _) = next(&mut connection).await;
    assert_eq!((head.version, head.authority), (Version::HTTP_10, None));
    connection
        .interim()
        .send(StatusCode::EARLY_HINTS, &Headers::new());
    assert!(respond(&mut connection, ok("one"), true).await.unwrap());
    let answer = far.read_now();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n"),
        "an interim answer for one who cannot read it: {answer}"
    );
    assert!(answer.contains("connection: keep-alive\r\n"), "{answer}");

    next(&mut connection).await;
    let streamed = Response::new(StatusCode::OK, pieces(&["a", "b"]));
    assert!(!respond(&mut connection, streamed, true).await.unwrap());
    close(connection).await;
    let answer = far.read_to_end().await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(!answer.contains("chunked") && answer.ends_with("\r\n\r\nab"));
}

#[tokio::test(start_paused = true)]
async fn interim_answers_go_out_at_once_and_never_behind_the_final_one() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let interim = connection.interim();
    let mut hints = Headers::new();
    let (name, value) = field("link", "</a.css>");
    hints.append(&name, &value);
    let sent = async {
        tokio::task::yield_now().await;
        interim.send(StatusCode::EARLY_HINTS, &hints);
        assert_eq!(
            far.read_head().await,
            "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"
        );
    };
    attended(&mut connection, sent).await.unwrap();
    interim.send(StatusCode::PROCESSING, &Headers::new());
    let answered = respond(&mut connection, ok("x"), true);
    assert!(answered.await.unwrap());
    interim.send(StatusCode::PROCESSING, &Headers::new());
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    assert!(respond(&mut connection, ok("y"), true).await.unwrap());
    let answers = far.read_now();
    assert!(answers.starts_with("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200"));
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 3, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn interim_answers_do_not_heap_up_for_one_who_reads_none() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    next(&mut connection).await;
    let mut hints = Headers::new();
    let (name, _) = field("link", "");
    hints.append(&name, &"x".repeat(1000).parse().unwrap());
    let interim = connection.interim();
    for _ in 0..10_000 {
        interim.send(StatusCode::EARLY_HINTS, &hints);
    }
    let (answered, answer) = tokio::join!(
        respond(&mut connection, ok("done"), true),
        far.read_until("done")
    );
    assert!(answered.unwrap());
    assert!(answer.len() < 64 << 10, "{} bytes", answer.len());
}

#[tokio::test(start_paused = true)]
async fn a_switch_hands_out_the_socket_and_what_came_early() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nearly")
        .await;
    let (head, body) = next(&mut connection).await;
    assert_eq!(head.upgrade.as_ref().unwrap(), "websocket");
    drop(body);
    let mut headers = Headers::new();
    let (name, value) = field("sec-websocket-accept", "x");
    headers.append(&name, &value);
    let (io, early) = connection
        .switch(
            StatusCode::SWITCHING_PROTOCOLS,
            &headers,
            head.upgrade.as_ref(),
        )
        .await
        .unwrap();
    assert_eq!(early, "early");
    assert_eq!(
        far.read_head().await,
        "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    io.try_write(b"raw").unwrap();
    assert_eq!(far.read_until("raw").await, "raw");
}

const SWITCH: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n";

#[tokio::test(start_paused = true)]
async fn a_switch_that_cannot_be_writes_nothing() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send(format!("{SWITCH}Content-Length: 4\r\n\r\n")).await;
    let (head, unread) = next(&mut connection).await;
    let headers = Headers::new();
    let protocol = head.upgrade.as_ref();
    let switched = connection.switch(StatusCode::SWITCHING_PROTOCOLS, &headers, protocol);
    assert!(switched.await.is_err());
    assert!(!connection.goes_on());
    drop(connection);
    drop(unread);
    assert_eq!(far.read_to_end().await, "");
}

#[tokio::test(start_paused = true)]
async fn whoever_still_holds_a_request_has_no_part_in_what_it_switched_to() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send(format!("{SWITCH}Expect: 100-continue\r\n\r\n"))
        .await;
    let (head, _body) = next(&mut connection).await;
    let held = connection.interim();
    let headers = Headers::new();
    let protocol = head.upgrade.as_ref();
    let switched = connection.switch(StatusCode::SWITCHING_PROTOCOLS, &headers, protocol);
    let (io, early) = switched.await.unwrap();
    assert_eq!(early, "");
    far.read_head().await;
    held.send(StatusCode::EARLY_HINTS, &headers);
    far.send("raw").await;
    poll_fn(|cx| held.poll_body_begun(cx)).await;
    let mut read = BytesMut::with_capacity(10);
    poll_fn(|cx| io.poll_read(cx, &mut read)).await.unwrap();
    assert_eq!(read, "raw");
    drop(connection);
    assert_eq!(far.read_now(), "");
}

#[tokio::test(start_paused = true)]
async fn methods_pass_as_they_are() {
    let (io, mut far) = unix();
    let mut connection = connection(io);
    far.send("PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (head, _) = next(&mut connection).await;
    assert_eq!(head.method, Method::from_bytes(b"PROPFIND").unwrap());
}
