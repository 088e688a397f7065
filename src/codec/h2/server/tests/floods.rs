//! What costs a caller little and us more, and what only looks like it.

use super::*;

/// Sends the same over and over, with the next stream's number; how often, until the connection was ended.
async fn flooded(mut far: Far, most: u32, frames: impl Fn(u32) -> Vec<u8>) -> Option<u32> {
    for number in 0..most {
        far.send(frames(2 * number + 1)).await;
        if number % 50 == 49 {
            far.send(ping(b"12345678")).await;
            loop {
                match far.news().await {
                    Event::Goaway(_, code) => {
                        assert_eq!(code, Code::ENHANCE_YOUR_CALM);
                        return Some(number);
                    }
                    Event::Ping(_, payload) if payload == b"12345678" => break,
                    Event::Closed => panic!("closed without a word"),
                    _ => {}
                }
            }
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn floods_of_resets_end_the_connection() {
    let pending = || serving(|_| Box::pin(std::future::pending()));
    // CVE-2023-44487.
    let rapid = |stream| [get(stream), reset(stream, Code::CANCEL)].concat();
    let ended = flooded(pending().await, 2_000, rapid).await;
    assert!(ended.is_some_and(|number| number < 1_100), "{ended:?}");
    // CVE-2025-8671.
    let provoked = |stream| [get(stream), window_update(stream, 0)].concat();
    let ended = flooded(pending().await, 2_000, provoked).await;
    assert!(ended.is_some_and(|number| number < 350), "{ended:?}");
    let malformed = |stream| headers(stream, true, &[(":method", "GET")]);
    let ended = flooded(pending().await, 2_000, malformed).await;
    assert!(ended.is_some_and(|number| number < 350), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn floods_of_frames_that_bring_nothing_end_the_connection() {
    let many = |frame: Vec<u8>| move |_| frame.repeat(100);
    for (what, wire) in [
        ("pings", ping(b"abcdefgh")),
        ("settings", frame(frame::SETTINGS, 0, 0, &[])),
        ("priorities", frame(frame::PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("unknown frames", frame(0xfa, 0, 0, &[])),
        ("window updates", window_update(0, 1)),
    ] {
        let far = serving(echo).await;
        let ended = flooded(far, 300, many(wire)).await;
        assert!(
            ended.is_some_and(|number| number < 160),
            "{what}: {ended:?}"
        );
    }
    // CVE-2019-9518.
    let mut far = serving(|_| Box::pin(std::future::pending())).await;
    far.send(post(1, &[])).await;
    let ended = flooded(far, 300, many(data(1, false, b""))).await;
    assert!(ended.is_some_and(|number| number < 160), "{ended:?}");
}

/// A caller with work to do may ping with every message.
#[tokio::test(start_paused = true)]
async fn frames_beside_messages_are_no_flood() {
    let far = serving(|_| Box::pin(async { ok("hello") })).await;
    let busy = |stream| {
        let frames = [window_update(0, 5), ping(b"abcdefgh"), get(stream)];
        frames.concat()
    };
    assert_eq!(flooded(far, 20_000, busy).await, None);
}

/// Whoever has its answer, or the beginning of it, may give up the rest (RFC 9113, section 8.1).
#[tokio::test(start_paused = true)]
async fn answers_that_are_given_up_are_no_flood() {
    let mut far = serving(|_| {
        Box::pin(async {
            let nothing = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Error>>();
            let body = Body::stream(http_body_util::StreamBody::new(nothing));
            Box::new(Response::new(StatusCode::OK, body))
        })
    })
    .await;
    for number in 0..3_000 {
        let stream = 2 * number + 1;
        far.send(get(stream)).await;
        assert_eq!(status(&far.news().await), "200");
        far.send(reset(stream, Code::CANCEL).repeat(2)).await;
    }
}

/// As who reads by 512 bytes does, and tells so for the stream and for the connection.
#[tokio::test(start_paused = true)]
async fn windows_that_grow_by_what_was_read_are_no_flood() {
    const LENGTH: usize = 8 << 20;
    let mut far = serving(|_| Box::pin(async { ok(vec![b'x'; LENGTH]) })).await;
    far.send(get(1)).await;
    assert_eq!(status(&far.news().await), "200");
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
    // No more is granted so than was sent, and then it is a flood as any.
    let ended = flooded(far, 300, |_| window_update(0, 1).repeat(100)).await;
    assert!(ended.is_some_and(|number| number < 160), "{ended:?}");
}
