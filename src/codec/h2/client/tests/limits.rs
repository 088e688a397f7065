//! How much the upstream lets a client have under way: streams and windows.

use super::*;

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
