//! Requests through the side that callers speak to: no panic, no hang, and the same is read however the bytes are
//! cut. The first byte of the input says how.
#![no_main]

mod common;

use std::time::Duration;

use bytes::BytesMut;
use http::StatusCode;
use libfuzzer_sys::fuzz_target;
use outrigger::http::body::Body;
use outrigger::codec::h1::head::Limits;
use outrigger::codec::h1::server::{Connection, Settings};
use outrigger::net::io::Io;
use outrigger::http::message::Response;

const SETTINGS: Settings = Settings {
    head: Limits {
        bytes: 4 << 10,
        fields: 20,
    },
    header_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(10),
};

fuzz_target!(|input: &[u8]| {
    let Some((step, wire)) = input.split_first() else {
        return;
    };
    let whole = common::fed(wire, wire.len(), serve);
    let cut = common::fed(wire, usize::from(*step), serve);
    assert_eq!(cut, whole);
});

/// What the requests were, and how the connection ended.
async fn serve(io: Io) -> (Vec<String>, &'static str) {
    let mut connection = Connection::new(io, BytesMut::new(), SETTINGS);
    let mut seen = Vec::new();
    loop {
        let (head, body) = match connection.next(|| false, |head, body| (head, body)).await {
            Ok(Some(request)) => request,
            Ok(None) => return (seen, "end"),
            // Which limit is met first may depend on the cuts.
            Err(_) => return (seen, "refused"),
        };
        let target = (head.method, head.authority, head.target, head.version);
        let fields = common::fields(&head.headers);
        match common::read_all(body).await {
            Ok(body) => seen.push(format!("{target:?} {fields:?} {body:?}")),
            Err(why) => return (seen, why),
        }
        let response = Response::new(StatusCode::OK, Body::full("seen"));
        match connection.respond(response, true).await {
            Ok(true) => {}
            Ok(false) => return (seen, "closed"),
            Err(_) => return (seen, "gone"),
        }
    }
}
