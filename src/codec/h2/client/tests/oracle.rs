//! Against another implementation: `hyper` and `h2`, as our upstream and as our caller.

use std::convert::Infallible;

use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use tokio::net::UnixStream;

use super::*;
use crate::codec::Settings;
use crate::codec::h2::server;
use crate::net::io::Io;

/// One exchange: what is asked, and what is answered.
#[derive(Clone, Debug)]
struct Case {
    fields: Vec<(String, String)>,
    pieces: Vec<usize>,
    trailers: Vec<(String, String)>,
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(("x-[a-z]{1,8}", "[!-~]{0,40}"), 0..6)
}

fn case() -> impl Strategy<Value = Case> {
    let pieces = prop::collection::vec(prop_oneof![1..200usize, 1..70_000usize], 0..5);
    (fields(), pieces, fields()).prop_map(|(fields, pieces, trailers)| Case {
        fields,
        pieces,
        trailers,
    })
}

fn to_map(fields: &[(String, String)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        map.append(name, value.parse().unwrap());
    }
    map
}

type Frames = Vec<Result<http_body::Frame<Bytes>, Error>>;

fn frames(case: &Case) -> Frames {
    let mut frames: Frames = Vec::new();
    for (number, length) in case.pieces.iter().enumerate() {
        let piece = vec![b'a' + number as u8; *length];
        frames.push(Ok(http_body::Frame::data(piece.into())));
    }
    if !case.trailers.is_empty() {
        frames.push(Ok(http_body::Frame::trailers(to_map(&case.trailers))));
    }
    frames
}

fn content(case: &Case) -> Vec<u8> {
    let pieces = case.pieces.iter().enumerate();
    pieces
        .flat_map(|(n, length)| vec![b'a' + n as u8; *length])
        .collect()
}

fn streamed(case: &Case) -> Body {
    let frames = futures_util::stream::iter(frames(case));
    Body::stream(http_body_util::StreamBody::new(frames))
}

/// Sends back what comes: fields, body and trailers.
async fn echo(
    request: http::Request<Incoming>,
) -> Result<http::Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = http::Response::new(body.boxed());
    *response.headers_mut() = head.headers;
    response.headers_mut().remove("content-length");
    Ok(response)
}

/// Our client, and theirs as its upstream.
async fn through_our_client(cases: &[Case]) {
    let (near, far) = UnixStream::pair().unwrap();
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(far), service_fn(echo)),
    );
    let connection = Connection::new(Io::Unix(near));
    let asked: Vec<_> = cases
        .iter()
        .map(|case| {
            let mut request = asking("POST", streamed(case));
            for (name, value) in &to_map(&case.fields) {
                request.headers.append(name, value);
            }
            ask(&connection, request)
        })
        .collect();
    for (asked, case) in asked.into_iter().zip(cases) {
        let response = asked.await.unwrap().0.unwrap();
        let got = crate::http::headers::Headers::clone(&response.headers);
        for name in to_map(&case.fields).keys() {
            let sent: Vec<Vec<u8>> = to_map(&case.fields)
                .get_all(name)
                .iter()
                .map(|v| v.as_bytes().to_vec())
                .collect();
            let got: Vec<Vec<u8>> = got.get_all(name).map(<[u8]>::to_vec).collect();
            assert_eq!(got, sent);
        }
        let whole = response.body.collect().await.unwrap();
        assert_eq!(
            whole.trailers().cloned().unwrap_or_default(),
            to_map(&case.trailers)
        );
        assert!(whole.to_bytes() == content(case));
    }
}

/// Our server, and theirs as its caller.
async fn through_our_server(cases: &[Case]) {
    let (near, far) = UnixStream::pair().unwrap();
    let settings = Settings {
        max_concurrent_streams: 100,
        max_header_bytes: 60 << 10,
        max_headers: 100,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(3600),
    };
    tokio::spawn(async move {
        let answer = |head: Result<server::RequestHead, Error>, body, _| async move {
            let mut response = Response::new(StatusCode::OK, body);
            response.headers = head.unwrap().headers;
            Box::new(response)
        };
        let io = Io::Unix(near);
        server::serve_streams(
            io,
            bytes::BytesMut::new(),
            settings,
            || false,
            answer,
            |_| (),
        )
        .await
    });
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(far))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut asked = Vec::new();
    for case in cases {
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames(case)));
        let mut request = http::Request::post("http://shop.example/a?b")
            .body(body)
            .unwrap();
        *request.headers_mut() = to_map(&case.fields);
        asked.push(send.send_request(request));
    }
    for (asked, case) in asked.into_iter().zip(cases) {
        let response = asked.await.unwrap();
        for name in to_map(&case.fields).keys() {
            let sent: Vec<_> = to_map(&case.fields).get_all(name).iter().cloned().collect();
            let got: Vec<_> = response.headers().get_all(name).iter().cloned().collect();
            assert_eq!(got, sent);
        }
        let whole = response.into_body().collect().await.unwrap();
        assert_eq!(
            whole.trailers().cloned().unwrap_or_default(),
            to_map(&case.trailers)
        );
        assert!(whole.to_bytes() == content(case));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn both_halves_agree_with_another_implementation(cases in prop::collection::vec(case(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            through_our_client(&cases).await;
            through_our_server(&cases).await;
        });
    }
}
