//! Answers through the side that speaks to upstreams: no panic, no hang, and the same is read however the bytes are
//! cut. The first byte of the input says how, the second which method was asked with.
#![no_main]

mod common;

use http::{HeaderValue, Method, Version};
use libfuzzer_sys::fuzz_target;
use outrigger::http::body::Body;
use outrigger::codec::h1::client::{Connection, Loan, exchange};
use outrigger::http::headers::Headers;
use outrigger::net::io::Io;
use outrigger::http::message::{Context, Request};

fuzz_target!(|input: &[u8]| {
    let [step, method, wire @ ..] = input else {
        return;
    };
    let method = match method % 4 {
        0 => Method::HEAD,
        1 => Method::CONNECT,
        _ => Method::GET,
    };
    let whole = common::fed(wire, wire.len(), |io| hear(io, method.clone()));
    let cut = common::fed(wire, usize::from(*step), |io| hear(io, method.clone()));
    assert_eq!(cut, whole);
});

struct Lent(Connection);

impl Loan for Lent {
    fn connection(&mut self) -> &mut Connection {
        &mut self.0
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn give_back(self) {}

    fn into_connection(self) -> Connection {
        self.0
    }
}

async fn hear(io: Io, method: Method) -> Result<String, &'static str> {
    let mut request = request(method);
    let response = exchange(Lent(Connection::new(io)), &mut request).await;
    let response = response.map_err(common::name)?;
    let head = (response.status, common::fields(&response.headers));
    let body = match response.upgrade {
        // What follows is no longer HTTP.
        Some(upgraded) => return Ok(format!("{head:?} {:?}", upgraded.protocol)),
        None => common::read_all(response.body).await?,
    };
    Ok(format!("{head:?} {body:?}"))
}

fn request(method: Method) -> Request {
    Request {
        method,
        authority: Some("upstream.test:80".parse().unwrap()),
        target: "/".parse().unwrap(),
        version: Version::HTTP_11,
        headers: Headers::new(),
        body: Body::empty(),
        upgrade: Some(HeaderValue::from_static("websocket")),
        context: Context::of_our_own(),
    }
}
