//! HTTP/2, the side that callers speak to: no panic however the bytes are cut, every connection ends, and whatever is
//! handed on as a request is sound. The first byte of the input says how the rest is cut.
#![no_main]

use bytes::BytesMut;
use http::{HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use outrigger::codec::h2;
use outrigger::http::body::Body;
use outrigger::http::error::Error;
use outrigger::http::message::{Request, Response};

mod common;
mod service;

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fuzz_target!(|input: &[u8]| {
    let Some((step, frames)) = input.split_first() else {
        return;
    };
    let wire = [GREETING, frames].concat();
    serve_all(&wire, wire.len());
    serve_all(&wire, usize::from(*step));
});

fn serve_all(wire: &[u8], step: usize) {
    common::fed(wire, step, |io| async {
        let answer = |request: Box<Request>| {
            check(&request);
            async move {
                let status = match common::read_all(request.body).await {
                    Ok(_) => StatusCode::OK,
                    Err(_) => StatusCode::BAD_REQUEST,
                };
                Response::new(status, Body::full("hello"))
            }
        };
        let service = service::Service {
            answer,
            refused: |_: Error| (),
        };
        let early = BytesMut::new();
        let _ended = h2::server::serve(io, early, service::SETTINGS, || false, service).await;
    });
}

/// What the next hop could read in two ways must not get through.
fn check(head: &Request) {
    assert!(!head.method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()));
    for (name, value) in common::fields(&head.headers) {
        HeaderName::from_lowercase(&name).expect("a name");
        HeaderValue::from_bytes(&value).expect("a value");
        let framing = [&b"connection"[..], b"transfer-encoding", b"upgrade", b"content_length"];
        assert!(!framing.contains(&&name[..]));
    }
}
