//! What answers requests: a policy over what is below it, or the target at the bottom.

use std::future::Future;
use std::pin::Pin;

use super::error::Error;
use super::exchange::Exchange;
use super::message::{Request, Response};

/// The future of an answer.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Box<Response>, Error>> + Send + 'a>>;

/// Something that answers requests.
pub trait Handler: Send + Sync {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a>;
}

/// What is below a policy, for one request.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    handler: &'a dyn Handler,
    pub exchange: &'a Exchange<'a>,
}

impl<'a> Next<'a> {
    #[inline]
    pub fn new(handler: &'a dyn Handler, exchange: &'a Exchange<'a>) -> Self {
        Next { handler, exchange }
    }

    /// The same for an exchange within this one.
    #[inline]
    #[must_use]
    pub fn within<'b>(self, exchange: &'b Exchange<'b>) -> Next<'b>
    where
        'a: 'b,
    {
        Next::new(self.handler, exchange)
    }

    #[inline]
    pub fn call(self, request: Box<Request>) -> Answer<'a> {
        self.handler.call(request, self.exchange)
    }
}
