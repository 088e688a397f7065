//! What the proxy itself asks of other servers: tokens and key sets. Never on behalf of a request.
//!
//! A connection stays open for a few seconds after a call, for the next one to the same server. Everything is bounded:
//! the time to connect, the time in all, the size of the answer, and how many calls a server gets at once. What surely
//! did nothing is tried again. Redirects are not followed: a secret goes where the config says, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};

mod connect;
mod failure;
mod pooled;
mod private;
mod socket;
mod url;

pub use pooled::Pooled;
pub use private::Private;
pub use url::Url;

use crate::tls::outbound::Client;

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub url: Url,
    /// TLS for an `https://` URL.
    pub tls: Option<Arc<Client>>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The longest answer that is read, in bytes of its body.
    pub limit: usize,
}

/// The answer to a [`Call`], whatever its status.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Whoever makes calls.
pub trait Fetch: Send + Sync {
    /// # Errors
    /// A sentence for the log: it may name hosts and addresses, and holds nothing of the call or its answer.
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>>;
}

/// Reaches no server.
pub struct Nowhere;

impl Fetch for Nowhere {
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        let message = format!("`{}` cannot be reached from here", call.url.authority());
        Box::pin(std::future::ready(Err(message)))
    }
}
