//! Requests through the side that callers speak to: no panic, no hang, and the same is read however the bytes are
//! cut. The first byte of the input says how.
#![no_main]

mod common;
mod service;

use std::cell::RefCell;

use bytes::BytesMut;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use outrigger::codec::h1;
use outrigger::http::body::Body;
use outrigger::http::error::{CALLER_GONE, Error};
use outrigger::http::message::{Request, Response};
use outrigger::net::io::Io;

fuzz_target!(|input: &[u8]| {
    let Some((step, wire)) = input.split_first() else {
        return;
    };
    let whole = common::fed(wire, wire.len(), serve);
    let cut = common::fed(wire, usize::from(*step), serve);
    assert_eq!(cut, whole);
});

/// What the requests were, and how the connection ended.
async fn serve(io: Io) -> Vec<String> {
    let seen = RefCell::new(Vec::new());
    let answer = async |request: Box<Request>| {
        let target = (&request.method, &request.authority, &request.target, request.version);
        let head = format!("{target:?} {:?}", common::fields(&request.headers));
        match common::read_all(request.body).await {
            Ok(body) => {
                seen.borrow_mut().push(format!("{head} {body:?}"));
                Response::new(StatusCode::OK, Body::full("seen"))
            }
            Err(why) => {
                seen.borrow_mut().push(why.to_owned());
                let mut response = Response::new(StatusCode::BAD_REQUEST, Body::empty());
                // Which ends the connection at once.
                response.refused = Some(CALLER_GONE);
                response
            }
        }
    };
    let service = service::Service {
        answer,
        // Which limit is met first may depend on the cuts.
        refused: |_: Error| seen.borrow_mut().push("refused".to_owned()),
    };
    let early = BytesMut::new();
    if h1::server::serve(io, early, service::SETTINGS, || false, service).await.is_err() {
        seen.borrow_mut().push("cut".to_owned());
    }
    seen.into_inner()
}
