//! Requests and handlers for unit tests.

use std::sync::Arc;

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use crate::body::Body;
use crate::headers::Headers;
use crate::message::Captures;
use crate::message::{Context, Request, RequestId, Response};
use crate::peer::{Peer, PeerAddress};
use crate::policy::stack::{Answer, Handler};

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
        context: Context {
            peer: Arc::new(Peer {
                address: PeerAddress::Unix,
                listener: "main".into(),
                encrypted: false,
                identity: None,
            }),
            client: None,
            route: "".into(),
            captures: Captures::default(),
            request_id: RequestId::new(),
            received: Instant::now(),
            deadline: None,
            hurried: false,
            head_by: None,
            interim: None,
            upstream: None,
            claims: None,
            tried: None,
            comes_back: false,
            host_from_endpoint: false,
        },
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

/// Answers 200 with the request's headers, so that a test sees what reached the target.
pub(crate) struct Echo;

impl Handler for Echo {
    fn call<'a>(&'a self, request: Box<Request>) -> Answer<'a> {
        let mut response = Response::new(StatusCode::OK, request.body);
        response.headers = request.headers;
        Box::pin(std::future::ready(Ok(Box::new(response))))
    }
}
