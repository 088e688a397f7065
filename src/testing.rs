//! Requests and handlers for unit tests.

use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::headers::Headers;
use crate::http::message::{Context, Interim, Request, RequestId, Response};
use crate::http::peer::{Peer, PeerAddress};
use crate::policy::stack::{Answer, Handler, Next};

/// A request without headers or body, from a caller on a unix socket.
pub(crate) fn request(method: &str, target: &str) -> Box<Request> {
    Box::new(Request {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        authority: None,
        target: target.parse().unwrap(),
        version: Version::HTTP_11,
        headers: Headers::new(),
        body: Body::empty(),
        upgrade: None,
        context: Context::new(
            Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: "main".into(),
                encrypted: false,
                identity: None,
                source: None,
                original: None,
            }),
            "".into(),
            RequestId::new(),
            Instant::now(),
        ),
    })
}

/// Headers out of names and values.
pub(crate) fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut map = http::HeaderMap::new();
    for (name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, value.parse().unwrap());
    }
    map.into()
}

/// A caller that hears interim answers, and waits with its body until a test says otherwise.
#[derive(Default)]
pub(crate) struct Caller(Mutex<CallerState>);

#[derive(Default)]
struct CallerState {
    heard: Vec<(u16, Option<String>)>,
    begun: bool,
    waker: Option<Waker>,
}

impl Caller {
    /// The statuses that it heard, with their links.
    pub fn heard(&self) -> Vec<(u16, Option<String>)> {
        self.0.lock().unwrap().heard.clone()
    }

    /// Some of its body is here.
    pub fn begin_body(&self) {
        let mut state = self.0.lock().unwrap();
        state.begun = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

impl Interim for Caller {
    fn send(&self, status: StatusCode, headers: &Headers) {
        let link = headers.get_str(&http::header::LINK).map(str::to_owned);
        self.0.lock().unwrap().heard.push((status.as_u16(), link));
    }

    fn poll_body_begun(&self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.begun {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Answers 200 with the request's headers, so that a test sees what reached the target.
pub(crate) struct Echo;

impl Handler for Echo {
    fn call<'a>(&'a self, request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        let mut response = Response::new(StatusCode::OK, request.body);
        response.headers = request.headers;
        Box::pin(std::future::ready(Ok(Box::new(response))))
    }
}

/// A handler as the policy above it sees it. The exchange is never freed, as a test may keep it for as long as it likes.
pub(crate) fn next(handler: &dyn Handler) -> Next<'_> {
    Next::new(handler, exchange())
}

/// An exchange of which nothing is known yet.
pub(crate) fn exchange() -> &'static Exchange<'static> {
    let last_seen = Box::leak(Box::default());
    Box::leak(Box::new(Exchange::new(last_seen)))
}
