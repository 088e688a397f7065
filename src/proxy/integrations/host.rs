//! What the integrations of a listener tell and change, which the whole program knows.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use serde_json::Value;

use crate::http::error::Error;
use crate::route::PathPattern;

/// The program, as integrations see it. Every method but `register` answers at once.
pub trait Host: Send + Sync {
    /// The routes that serve now: their names, what answers them, and whether that is there.
    fn list(&self) -> Value;
    /// How what answers a route is doing; None when none has this name.
    fn health(&self, route: &str) -> Option<Value>;
    /// What was counted of a route; None when none has this name.
    fn stats(&self, route: &str) -> Option<Value>;
    /// What a request must look like to enter a route; None when none has this name.
    fn entrance(&self, route: &str) -> Option<Entrance>;
    /// The name of a route that is probably meant by this one.
    fn nearest(&self, route: &str) -> Option<String>;
    /// Registers what a document asks for, and says what serves then.
    fn register(&self, document: Bytes) -> BoxFuture<'static, Result<Value, Error>>;
}

/// What of a route's `match` can be filled in for a caller who does not say it.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// None: every path.
    pub path: Option<PathPattern>,
    /// The first of its methods.
    pub method: Option<Method>,
    /// The only host that it takes.
    pub host: Option<String>,
    /// The listeners whose callers it takes; none: every listener's.
    pub listeners: Vec<Arc<str>>,
}
