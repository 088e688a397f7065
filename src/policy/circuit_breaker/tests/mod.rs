//! The policy as a route has it, over an upstream that answers as the test says.

use super::breaker::Breaker;
use super::route_breaker::CIRCUIT_OPEN;
use super::state::{Forced, State};
use super::*;
use crate::http::body::Body;
use crate::http::error::Reason;
use crate::http::exchange::{Exchange, Limits, Why};
use crate::http::message::Response;
use crate::policy::build::{Kept, ShowState as _};
use crate::policy::stack::{Answer, Handler, Next, Policy};
use crate::testing::{exchange, headers, next, request};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::Value;
use std::sync::Mutex;

mod config;
mod judging;
mod operator;
mod states;

const SECOND: Duration = Duration::from_secs(1);

/// One route's breaker, over as many configs as the test brings.
#[derive(Default)]
struct Route {
    kept: Kept,
}

impl Route {
    fn with(&mut self, config: &str) -> CircuitBreaker {
        let mut next = Kept::default();
        let mut build = Build::new("r".into(), &self.kept, &mut next);
        let policy = CircuitBreaker::new(&toml::from_str(config).unwrap(), &mut build);
        self.kept = next;
        policy
    }
}

fn breaker(config: &str) -> CircuitBreaker {
    Route::default().with(config)
}

/// What the upstream does next.
struct Upstream(Mutex<Option<Result<Box<Response>, Error>>>);

impl Handler for Upstream {
    fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        match self.0.lock().unwrap().take() {
            Some(outcome) => Box::pin(std::future::ready(outcome)),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn answer(status: u16) -> Box<Response> {
    let status = StatusCode::from_u16(status).unwrap();
    Box::new(Response::new(status, Body::empty()))
}

fn streaming(frames: Vec<Result<Frame<Bytes>, Error>>) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(frames)))
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    Frame::trailers(trailers)
}

fn grpc() -> Box<Request> {
    let mut request = request("POST", "/a.B/C");
    request.headers = headers(&[("content-type", "application/grpc+proto")]);
    request
}

impl CircuitBreaker {
    async fn call(
        &self,
        request: Box<Request>,
        outcome: Result<Box<Response>, Error>,
    ) -> Result<Box<Response>, Error> {
        let upstream = Upstream(Mutex::new(Some(outcome)));
        self.apply(request, next(&upstream)).await
    }

    /// Calls an upstream that answers so; whether it was called.
    async fn meets(&self, status: u16) -> bool {
        match self.call(request("GET", "/"), Ok(answer(status))).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.reason(), CIRCUIT_OPEN);
                false
            }
        }
    }

    /// Why a request is refused.
    async fn refusal(&self) -> Error {
        let outcome = self.call(request("GET", "/"), Ok(answer(200))).await;
        outcome.unwrap_err()
    }

    async fn meets_error(&self, reason: Reason) {
        let error = Error::new(reason, "");
        let error = self.call(request("GET", "/"), Err(error)).await.err();
        assert_eq!(error.unwrap().reason(), reason);
    }

    fn shown(&self) -> Value {
        self.0.state()
    }

    fn is(&self, state: &str) -> bool {
        self.shown()["state"] == state
    }

    fn failures(&self) -> u64 {
        self.shown()["consecutive_failures"].as_u64().unwrap()
    }
}
