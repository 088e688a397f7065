//! What answers requests: a policy over what is below it, or the target at the bottom.

use std::future::Future;
use std::pin::Pin;

use super::error::Error;
use super::message::{Request, Response};

/// The future of an answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Box<Response>, Error>> + Send + 'a>>;

/// Something that answers requests.
pub trait Handler: Send + Sync {
    fn call<'a>(&'a self, request: Box<Request>) -> Answer<'a>;
}
