//! The kinds of traffic whose cost is counted.

use std::path::Path;

use crate::caller;
use crate::origin::Origin;
use crate::valgrind::Counted;

/// Requests of the short and of the long run.
const FEW: u64 = 500;
const MANY: u64 = 3_000;

pub struct Traffic {
    pub name: &'static str,
    request: Request,
    /// Settings of the whole proxy.
    pub settings: &'static str,
    /// The route's policies, as its table has them.
    pub policies: &'static [&'static str],
    /// Protocol between caller and proxy, and between proxy and origin.
    downstream: Protocol,
    pub upstream: Protocol,
}

/// What is asked of the origin.
#[derive(Clone, Copy)]
pub struct Request {
    /// Bytes of content on the way there and back.
    pub sent: usize,
    pub answered: usize,
    /// Message and trailers as gRPC has them.
    pub grpc: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

use Protocol::{Http1, Http2};

const SMALL: Request = Request {
    sent: 0,
    answered: 1 << 10,
    grpc: false,
};

const UPLOAD: Request = Request {
    sent: 16 << 10,
    ..SMALL
};

/// A small answer over HTTP/1.1, on a route without policies.
const PLAIN: Traffic = Traffic {
    name: "small",
    request: SMALL,
    settings: "",
    policies: &[],
    downstream: Http1,
    upstream: Http1,
};

const HEADERS: &str = r#"
    request = { set_headers = { x-id = "${request_id}", x-env = "production" }, remove_headers = ["x-trace"] }
    response = { set_headers = { x-frame-options = "DENY" }, remove_headers = ["server"] }
"#;
const RATE_LIMIT: &str =
    r#"rate_limit = { requests = 100_000_000, per = "1s", key = "client-ip" }"#;
const BREAKER: &str = "circuit_breaker = {}";
const RETRY: &str = "retry = {}";
const TIMEOUT: &str = r#"
    timeout = "10s"
    idle_timeout = "60s"
    deadline = "30s"
"#;
/// One request of a hundred is recorded. Nobody is there who takes the spans.
const TRACING: &str = r#"tracing = { endpoint = "http://127.0.0.1:9", sample_ratio = 0.01 }"#;
const POLICIES: &[&str] = &[HEADERS, RATE_LIMIT, BREAKER, RETRY, TIMEOUT];

pub const TRAFFIC: &[Traffic] = &[
    PLAIN,
    Traffic {
        name: "headers",
        policies: &[HEADERS],
        ..PLAIN
    },
    Traffic {
        name: "rate_limit",
        policies: &[RATE_LIMIT],
        ..PLAIN
    },
    Traffic {
        name: "breaker",
        policies: &[BREAKER],
        ..PLAIN
    },
    Traffic {
        name: "retry",
        policies: &[RETRY],
        ..PLAIN
    },
    Traffic {
        name: "timeout",
        policies: &[TIMEOUT],
        ..PLAIN
    },
    Traffic {
        name: "policies",
        policies: POLICIES,
        ..PLAIN
    },
    Traffic {
        name: "tracing",
        settings: TRACING,
        ..PLAIN
    },
    Traffic {
        name: "large",
        request: Request {
            answered: 64 << 10,
            ..SMALL
        },
        ..PLAIN
    },
    Traffic {
        name: "upload",
        request: UPLOAD,
        ..PLAIN
    },
    Traffic {
        name: "upload-policies",
        request: UPLOAD,
        policies: POLICIES,
        ..PLAIN
    },
    Traffic {
        name: "h2-h1",
        downstream: Http2,
        ..PLAIN
    },
    Traffic {
        name: "grpc",
        request: Request {
            sent: 128,
            answered: 128,
            grpc: true,
        },
        downstream: Http2,
        upstream: Http2,
        ..PLAIN
    },
];

impl Traffic {
    /// Instructions that one request costs the program at `proxy`.
    pub async fn count(&self, proxy: &Path) -> u64 {
        let few = self.run(proxy, FEW).await;
        let many = self.run(proxy, MANY).await;
        many.saturating_sub(few) / (MANY - FEW)
    }

    /// Instructions of the proxy's whole life, in which it carries so many requests.
    async fn run(&self, proxy: &Path, requests: u64) -> u64 {
        let origin = Origin::start(self.upstream, self.request).await;
        let proxy = Counted::start(proxy, origin.port, self).await;
        match self.downstream {
            Http1 => caller::http1(proxy.port, self.request, requests).await,
            Http2 => caller::http2(proxy.port, self.request, requests).await,
        }
        proxy.end().await
    }
}
