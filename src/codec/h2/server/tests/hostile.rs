//! Callers that break the rules, or keep to them for no good.

use super::*;

/// What becomes of it.
#[derive(Debug, PartialEq)]
enum Due {
    Goaway(Code),
    Reset(u32, Code),
    Status(u32, &'static str),
}

async fn assert_due(wire: Vec<u8>, due: Due, what: &str) {
    let mut far = serving(|(head, body, _)| {
        Box::pin(async move {
            let status = match head {
                Ok(_) => StatusCode::OK,
                Err(error) => return Box::new(Response::new(error.status(), Body::empty())),
            };
            // Read to its end, unless the stream ends first.
            let whole = body.collect().await;
            Box::new(Response::new(status, Body::full(whole.unwrap().to_bytes())))
        })
    })
    .await;
    far.send(wire).await;
    let found = loop {
        match far.news().await {
            Event::Goaway(_, code) => break Due::Goaway(code),
            Event::Reset(stream, code) => break Due::Reset(stream, code),
            Event::Headers(stream, fields, _) => {
                if let Due::Status(_, status) = due {
                    assert_eq!(fields[0], format!(":status: {status}"), "{what}");
                    break Due::Status(stream, status);
                }
            }
            Event::Closed => panic!("{what}: closed without a word"),
            _ => {}
        }
    };
    assert_eq!(found, due, "{what}");
    if let Due::Goaway(_) = due {
        assert_eq!(far.news().await, Event::Closed, "{what}");
    } else {
        // The connection goes on.
        far.send(get(101)).await;
        while !matches!(far.news().await, Event::Headers(101, ..)) {}
    }
}

#[tokio::test]
async fn what_breaks_the_rules_of_a_connection_ends_it() {
    use frame::*;
    let protocol = Code::PROTOCOL_ERROR;
    let size = Code::FRAME_SIZE_ERROR;
    let mut long = Vec::new();
    put_head(&mut long, DATA, 0, 1, MAX_PAYLOAD + 1);
    let head = |stream| {
        headers(
            stream,
            true,
            &[(":method", "GET"), (":scheme", "http"), (":path", "/")],
        )
    };
    let cases: &[(&str, Vec<u8>, Code)] = &[
        ("DATA of stream 0", data(0, false, b"x"), protocol),
        ("DATA of an idle stream", data(1, false, b"x"), protocol),
        ("HEADERS of stream 0", head(0), protocol),
        ("HEADERS of an even stream", head(2), protocol),
        (
            "a stream number that goes back",
            [head(5), head(3)].concat(),
            Code::STREAM_CLOSED,
        ),
        ("RST_STREAM of stream 0", reset(0, Code::CANCEL), protocol),
        (
            "RST_STREAM of an idle stream",
            reset(1, Code::CANCEL),
            protocol,
        ),
        (
            "RST_STREAM too short",
            [head(1), super::frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            size,
        ),
        (
            "SETTINGS of a stream",
            super::frame(SETTINGS, 0, 1, &[]),
            protocol,
        ),
        (
            "SETTINGS too short",
            super::frame(SETTINGS, 0, 0, &[0; 5]),
            size,
        ),
        (
            "SETTINGS acknowledged with content",
            super::frame(SETTINGS, ACK, 0, &[0; 6]),
            size,
        ),
        ("a push setting that cannot be", setting(2, 2), protocol),
        (
            "a window setting that cannot be",
            setting(INITIAL_WINDOW, 1 << 31),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "a frame size setting that cannot be",
            setting(5, 1),
            protocol,
        ),
        (
            "PING of a stream",
            super::frame(PING, 0, 1, &[0; 8]),
            protocol,
        ),
        ("PING too short", super::frame(PING, 0, 0, &[0; 7]), size),
        (
            "GOAWAY of a stream",
            super::frame(GOAWAY, 0, 1, &[0; 8]),
            protocol,
        ),
        (
            "GOAWAY too short",
            super::frame(GOAWAY, 0, 0, &[0; 7]),
            size,
        ),
        (
            "WINDOW_UPDATE too short",
            super::frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            size,
        ),
        (
            "WINDOW_UPDATE of an idle stream",
            window_update(1, 1),
            protocol,
        ),
        ("WINDOW_UPDATE of nothing", window_update(0, 0), protocol),
        (
            "a connection's window too large",
            window_update(0, MAX_31),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "PUSH_PROMISE",
            super::frame(PUSH_PROMISE, 0, 1, &[0; 4]),
            protocol,
        ),
        (
            "CONTINUATION out of nowhere",
            super::frame(CONTINUATION, END_HEADERS, 1, &[]),
            protocol,
        ),
        (
            "a frame within a block",
            [super::frame(HEADERS, 0, 1, &[0x82]), ping(&[0; 8])].concat(),
            protocol,
        ),
        (
            "CONTINUATION of another stream",
            [
                super::frame(HEADERS, 0, 1, &[0x82]),
                super::frame(CONTINUATION, 0, 3, &[]),
            ]
            .concat(),
            protocol,
        ),
        (
            "PRIORITY of stream 0",
            super::frame(PRIORITY, 0, 0, &[0; 5]),
            protocol,
        ),
        (
            "HEADERS that depend on themselves",
            super::frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, &[0, 0, 0, 1, 0]),
            protocol,
        ),
        (
            "HEADERS without their priority",
            super::frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, &[0, 0]),
            protocol,
        ),
        (
            "padding beyond HEADERS",
            super::frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 0x82]),
            protocol,
        ),
        (
            "padding beyond DATA",
            [post(1, &[]), super::frame(DATA, PADDED, 1, &[2, 0])].concat(),
            protocol,
        ),
        ("a frame too long", [post(1, &[]), long].concat(), size),
        (
            "a block that cannot be decoded",
            super::frame(HEADERS, END_HEADERS, 1, &[0x80]),
            Code::COMPRESSION_ERROR,
        ),
    ];
    for (what, wire, code) in cases {
        assert_due(wire.clone(), Due::Goaway(*code), what).await;
    }
}

#[tokio::test]
async fn what_breaks_the_rules_of_a_message_resets_its_stream() {
    let protocol = Code::PROTOCOL_ERROR;
    let request = [(":method", "POST"), (":scheme", "http"), (":path", "/")];
    let with = |ends, name, value| headers(1, ends, &[&request[..], &[(name, value)]].concat());
    let cases: &[(&str, Vec<u8>, Code)] = &[
        ("no path", headers(1, true, &request[..2]), protocol),
        (
            "a connection header",
            with(true, "connection", "close"),
            protocol,
        ),
        ("a name in upper case", with(true, "X-A", "1"), protocol),
        ("TE other than trailers", with(true, "te", "gzip"), protocol),
        (
            "content announced and none sent",
            with(true, "content-length", "3"),
            protocol,
        ),
        (
            "less content than announced",
            [with(false, "content-length", "3"), data(1, true, b"ab")].concat(),
            protocol,
        ),
        (
            "more content than announced",
            [with(false, "content-length", "3"), data(1, false, b"abcd")].concat(),
            protocol,
        ),
        (
            "less, with trailers",
            [
                with(false, "content-length", "3"),
                headers(1, true, &[("a", "b")]),
            ]
            .concat(),
            protocol,
        ),
        (
            "trailers with pseudo-headers",
            [post(1, &[]), headers(1, true, &[(":path", "/")])].concat(),
            protocol,
        ),
        (
            "trailers that do not end",
            [post(1, &[]), headers(1, false, &[("a", "b")])].concat(),
            protocol,
        ),
        (
            "trailers of a connection",
            [
                post(1, &[]),
                headers(1, true, &[("transfer-encoding", "chunked")]),
            ]
            .concat(),
            protocol,
        ),
        (
            "a window update of nothing",
            [post(1, &[]), window_update(1, 0)].concat(),
            protocol,
        ),
        (
            "a window too large",
            [post(1, &[]), window_update(1, frame::MAX_31)].concat(),
            Code::FLOW_CONTROL_ERROR,
        ),
        (
            "PRIORITY too short",
            [post(1, &[]), frame(frame::PRIORITY, 0, 1, &[0; 4])].concat(),
            Code::FRAME_SIZE_ERROR,
        ),
        (
            "a stream that depends on itself",
            [post(1, &[]), frame(frame::PRIORITY, 0, 1, &[0, 0, 0, 1, 0])].concat(),
            protocol,
        ),
    ];
    for (what, wire, code) in cases {
        assert_due(wire.clone(), Due::Reset(1, *code), what).await;
    }
}

#[tokio::test]
async fn content_behind_the_end_is_refused() {
    // The answer is on its way, so the stream is still open.
    for late in [data(1, false, b"x"), get(1)] {
        let mut far = serving(|_| Box::pin(std::future::pending())).await;
        far.send([get(1), late].concat()).await;
        assert_eq!(far.news().await, Event::Reset(1, Code::STREAM_CLOSED));
    }
    // It has ended for both.
    for late in [data(1, false, b"x"), get(1)] {
        let mut far = serving(|_| Box::pin(async { ok("") })).await;
        far.send(get(1)).await;
        far.news().await;
        far.send(late).await;
        assert_eq!(far.news().await, Event::Goaway(1, Code::STREAM_CLOSED));
    }
}

#[tokio::test]
async fn what_is_refused_is_answered() {
    let request = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let with = |name, value| headers(1, true, &[&request[..], &[(name, value)]].concat());
    let long = "x".repeat(5000);
    for (what, wire, status) in [
        ("a head too large", with("x-a", &long), "431"),
        ("a framing name", with("content_length", "1"), "400"),
        ("an authority with a user", with("host", "u@a"), "400"),
    ] {
        assert_due(wire, Due::Status(1, status), what).await;
    }
}

/// A block in pieces, as long as it is not absurd, is answered with 431; the tables stay in step.
#[tokio::test]
async fn a_long_block_is_answered_and_an_absurd_one_ends_the_connection() {
    let mut far = serving(echo).await;
    let piece = block(&[("x-a", &"x".repeat(2000))]);
    let start = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/")]);
    far.send(frame(frame::HEADERS, frame::END_STREAM, 1, &start))
        .await;
    for _ in 0..3 {
        far.send(frame(frame::CONTINUATION, 0, 1, &piece)).await;
    }
    far.send(frame(frame::CONTINUATION, frame::END_HEADERS, 1, &[]))
        .await;
    assert_eq!(status(&far.news().await), "431");
    // CVE-2024-27316.
    far.send(frame(frame::HEADERS, frame::END_STREAM, 3, &start))
        .await;
    for _ in 0..20 {
        far.send(frame(frame::CONTINUATION, 0, 3, &piece)).await;
    }
    assert_eq!(far.news().await, Event::Goaway(1, Code::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_block_in_countless_frames_ends_the_connection() {
    let mut far = serving(echo).await;
    far.send(frame(frame::HEADERS, 0, 1, &[0x82])).await;
    for _ in 0..100 {
        far.send(frame(frame::CONTINUATION, 0, 1, &[])).await;
    }
    assert_eq!(far.news().await, Event::Goaway(0, Code::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let settings = Settings {
        max_concurrent_streams: 2,
        ..SETTINGS
    };
    let first = frame(frame::SETTINGS, 0, 0, &[]);
    let mut far = serving_with(settings, first, |_| Box::pin(std::future::pending())).await;
    far.send(
        [
            get(1),
            get(3),
            get(5),
            reset(1, Code::CANCEL),
            get(7),
            get(9),
        ]
        .concat(),
    )
    .await;
    assert_eq!(far.news().await, Event::Reset(5, Code::REFUSED_STREAM));
    assert_eq!(far.news().await, Event::Reset(9, Code::REFUSED_STREAM));
}

#[tokio::test]
async fn a_connection_begins_with_the_preface_and_settings() {
    for (what, wire) in [
        (
            "another preface",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
        ),
        ("no settings", [PREFACE, &ping(b"12345678")].concat()),
        (
            "an acknowledgement",
            [PREFACE, &frame(frame::SETTINGS, frame::ACK, 0, &[])].concat(),
        ),
    ] {
        let (io, mut far) = pair();
        far.send(wire).await;
        tokio::spawn(async move {
            let answer = |head, body, interim| echo((head, body, interim));
            serve_streams(io, BytesMut::new(), SETTINGS, || false, answer, |_| ()).await
        });
        let goaway = far.news().await;
        assert_eq!(goaway, Event::Goaway(0, Code::PROTOCOL_ERROR), "{what}");
    }
}
