//! Request bodies, and what their senders may do.

use http_body::Body as _;

use super::*;

#[tokio::test]
async fn a_body_and_trailers_pass() {
    let mut far = serving(echo).await;
    far.send(post(1, &[])).await;
    far.send(data(1, false, b"hel")).await;
    far.send(data(1, false, b"lo")).await;
    far.send(headers(1, true, &[("x-sum", "5")])).await;
    far.news().await;
    let mut content = Vec::new();
    loop {
        match far.news().await {
            Event::Data(1, piece, false) => content.extend(piece),
            Event::Headers(1, fields, true) => {
                assert_eq!(fields, ["x-sum: 5"]);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(content, b"hello");
}

#[tokio::test]
async fn padding_is_left_out() {
    let mut far = serving(echo).await;
    far.send(post(1, &[])).await;
    let flags = frame::PADDED | frame::END_STREAM;
    far.send(frame(frame::DATA, flags, 1, b"\x03abc\0\0\0"))
        .await;
    far.news().await;
    assert_eq!(far.news().await, Event::Data(1, b"abc".to_vec(), true));
}

/// A body that is not read: the window closes, and other streams go on.
#[tokio::test]
async fn what_is_not_read_is_not_granted_again() {
    let mut far = serving(|(head, body, _)| {
        let keep = head.unwrap().method == Method::POST;
        Box::pin(async move {
            if keep {
                let _body = body;
                return std::future::pending().await;
            }
            ok("hello")
        })
    })
    .await;
    far.send(post(1, &[])).await;
    for _ in 0..16 {
        far.send(data(1, false, &[0; 16 << 10])).await;
    }
    far.send([get(3), ping(b"12345678")].concat()).await;
    let mut granted = 0;
    loop {
        match far.next().await {
            Event::Window(1, _) => panic!("the stream is granted more"),
            Event::Window(0, increment) => granted += increment,
            Event::Ping(..) => break,
            _ => {}
        }
    }
    assert_eq!(granted, CONNECTION_WINDOW - 65_535);
    far.send(data(1, false, b"x")).await;
    let mut event = far.news().await;
    while !matches!(event, Event::Reset(..)) {
        event = far.news().await;
    }
    assert_eq!(event, Event::Reset(1, Code::FLOW_CONTROL_ERROR));
    far.send(get(5)).await;
    assert_eq!(status(&far.news().await), "200");
}

/// A body that is dropped, as an answer goes on without it: its stream's window stays closed, that of the connection
/// does not.
#[tokio::test]
async fn an_unwanted_body_takes_no_part_of_the_window() {
    let mut far = serving(|(_, body, _)| {
        drop(body);
        Box::pin(std::future::pending())
    })
    .await;
    let mut granted = 0;
    for stream in [1, 3, 5, 7, 9] {
        far.send(post(stream, &[])).await;
        for _ in 0..16 {
            far.send(data(stream, false, &[0; 16 << 10])).await;
        }
    }
    far.send(ping(b"12345678")).await;
    loop {
        match far.next().await {
            Event::Window(0, increment) => granted += increment,
            Event::Ping(..) => break,
            Event::Settings(_) | Event::SettingsAck => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(granted >= CONNECTION_WINDOW);
}

#[tokio::test]
async fn what_is_read_is_granted_again_in_large_steps() {
    let mut far = serving(|(_, mut body, _)| {
        Box::pin(async move {
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame.unwrap().into_data().unwrap().len();
            }
            ok(length.to_string())
        })
    })
    .await;
    far.send(post(1, &[])).await;
    let (mut window, mut sent, mut updates) = (65_535u32, 0u32, 0);
    while sent < 4 << 20 {
        if window >= 16 << 10 {
            far.send(data(1, false, &[0; 16 << 10])).await;
            window -= 16 << 10;
            sent += 16 << 10;
            continue;
        }
        match far.next().await {
            Event::Window(1, increment) => {
                window += increment;
                updates += 1;
            }
            // The larger window of the settings.
            Event::Settings(_) => window += super::super::super::STREAM_WINDOW - 65_535,
            _ => {}
        }
    }
    far.send(data(1, true, b"")).await;
    assert_eq!(status(&far.news().await), "200");
    let length = (4 << 20).to_string().into_bytes();
    assert_eq!(far.news().await, Event::Data(1, length, true));
    assert!(updates <= 64, "{updates}");
}

#[tokio::test]
async fn an_answer_waits_for_both_windows() {
    let mut far = serving_with(SETTINGS, setting(INITIAL_WINDOW, 10), |_| {
        Box::pin(async { ok(vec![b'x'; 70_000]) })
    })
    .await;
    far.send(get(1)).await;
    far.news().await;
    assert_eq!(far.news().await, Event::Data(1, vec![b'x'; 10], false));
    // The window of the stream, and then the setting, which reaches streams that are open.
    far.send(window_update(1, 5)).await;
    assert_eq!(far.news().await, Event::Data(1, vec![b'x'; 5], false));
    far.send(setting(INITIAL_WINDOW, 17)).await;
    assert_eq!(far.news().await, Event::Data(1, vec![b'x'; 7], false));
    far.send([window_update(1, 1 << 20), ping(b"12345678")].concat())
        .await;
    let mut got = 22;
    loop {
        match far.news().await {
            Event::Data(1, piece, false) => got += piece.len(),
            Event::Ping(..) if got == 65_535 => break,
            Event::Ping(..) => {}
            other => panic!("{other:?}"),
        }
        if got == 65_535 {
            break;
        }
    }
    far.send(window_update(0, 1 << 20)).await;
    while got < 70_000 {
        match far.news().await {
            Event::Data(1, piece, ends) => {
                got += piece.len();
                assert_eq!(ends, got == 70_000);
            }
            Event::Ping(..) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// An end that comes behind the head is passed on as such, in whatever pieces both arrive.
#[tokio::test]
async fn an_end_apart_from_its_head_is_told_from_one_with_it() {
    let told = |(_, body, _): Asked| -> Answering {
        let said = format!("{} {:?}", body.is_end_stream(), body.size_hint().exact());
        Box::pin(async move { ok(body.collect().await.map(|_| said).unwrap()) })
    };
    let mut far = serving(told).await;
    let grpc = [("content-type", "application/grpc")];
    far.send([post(1, &grpc), data(1, true, b"")].concat())
        .await;
    far.news().await;
    assert_eq!(
        far.news().await,
        Event::Data(1, b"false Some(0)".to_vec(), true)
    );
    far.send(get(3)).await;
    far.news().await;
    assert_eq!(
        far.news().await,
        Event::Data(3, b"true Some(0)".to_vec(), true)
    );
    // The answer's end, too.
    let empty = |_: Asked| -> Answering {
        let nothing = http_body_util::Empty::new().map_err(|never| match never {});
        let body = Body::stream(http_body_util::BodyExt::with_trailers(
            nothing,
            std::future::ready(None),
        ));
        Box::pin(async { Box::new(Response::new(StatusCode::OK, body)) })
    };
    let mut far = serving(empty).await;
    far.send(get(1)).await;
    let head = vec![":status: 200".to_owned()];
    assert_eq!(far.news().await, Event::Headers(1, head, false));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
}

#[tokio::test]
async fn what_the_upstream_meant_by_a_reset_reaches_the_caller() {
    for (told, code) in [
        (None, Code::INTERNAL_ERROR),
        (Some(Code::CANCEL), Code::CANCEL),
        (Some(Code::ENHANCE_YOUR_CALM), Code::ENHANCE_YOUR_CALM),
    ] {
        let mut far = serving(move |_| {
            let error = Error::new(crate::http::error::UPSTREAM_RESET, "cut");
            let error = match told {
                Some(code) => error.with_stream_code(code.0),
                None => error,
            };
            let frames = [
                Ok(http_body::Frame::data(Bytes::from_static(b"some"))),
                Err(error),
            ];
            let frames = futures_util::stream::iter(frames);
            let body = Body::stream(http_body_util::StreamBody::new(frames));
            Box::pin(async { Box::new(Response::new(StatusCode::OK, body)) })
        })
        .await;
        far.send(get(1)).await;
        far.news().await;
        assert_eq!(far.news().await, Event::Data(1, b"some".to_vec(), false));
        assert_eq!(far.news().await, Event::Reset(1, code));
    }
}
