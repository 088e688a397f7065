//! What answers on the side that callers speak to.

use std::time::Duration;

use bytes::Bytes;
use outrigger::codec::{self, Settings};
use outrigger::http::body::Body;
use outrigger::http::error::Error;
use outrigger::http::headers::Headers;
use outrigger::http::message::{Context, Request, Response, Upgraded};
use outrigger::net::io::Io;

pub const SETTINGS: Settings = Settings {
    max_header_bytes: 4 << 10,
    max_headers: 20,
    header_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(10),
    max_concurrent_streams: 10,
};

/// Answers with `answer`, and tells `refused` of heads that were refused.
pub struct Service<A, R> {
    pub answer: A,
    pub refused: R,
}

impl<A: AsyncFn(Box<Request>) -> Response, R: Fn(Error)> codec::Service for Service<A, R> {
    fn context(&self, _: &Headers) -> Context {
        Context::of_our_own()
    }

    async fn answer(&self, request: Box<Request>) -> Box<Response> {
        Box::new((self.answer)(request).await)
    }

    fn refuse(&self, error: Error) -> Box<Response> {
        let status = error.status();
        (self.refused)(error);
        Box::new(Response::new(status, Body::empty()))
    }

    fn refuse_silently(&self, error: Error) {
        (self.refused)(error);
    }

    async fn tunnel(&self, _: &Io, _: Bytes, _: Upgraded) {}
}
