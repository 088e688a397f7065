//! The kinds of traffic whose cost is counted.

use crate::caller;
use crate::origin::Origin;
use crate::valgrind::Counted;

/// Requests of the short and of the long run.
const FEW: u64 = 500;
const MANY: u64 = 3_000;

pub struct Traffic {
    pub name: &'static str,
    request: Request,
    /// Protocol between caller and proxy, and between proxy and origin.
    downstream: Protocol,
    upstream: Protocol,
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

pub const TRAFFIC: &[Traffic] = &[
    Traffic {
        name: "small",
        request: SMALL,
        downstream: Http1,
        upstream: Http1,
    },
    Traffic {
        name: "large",
        request: Request {
            answered: 64 << 10,
            ..SMALL
        },
        downstream: Http1,
        upstream: Http1,
    },
    Traffic {
        name: "upload",
        request: Request {
            sent: 16 << 10,
            ..SMALL
        },
        downstream: Http1,
        upstream: Http1,
    },
    Traffic {
        name: "h2-h1",
        request: SMALL,
        downstream: Http2,
        upstream: Http1,
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
    },
];

impl Traffic {
    /// Instructions that one request costs.
    pub async fn count(&self) -> u64 {
        let few = self.run(FEW).await;
        let many = self.run(MANY).await;
        many.saturating_sub(few) / (MANY - FEW)
    }

    /// Instructions of the proxy's whole life, in which it carries so many requests.
    async fn run(&self, requests: u64) -> u64 {
        let origin = Origin::start(self.upstream, self.request).await;
        let proxy = Counted::start(origin.port, self.upstream).await;
        match self.downstream {
            Http1 => caller::http1(proxy.port, self.request, requests).await,
            Http2 => caller::http2(proxy.port, self.request, requests).await,
        }
        proxy.end().await
    }
}
