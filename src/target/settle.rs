//! Which upstream gets a request, settled before its policies see it.

use std::sync::Arc;

use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;

/// What tells the name of the upstream that gets a request.
pub trait ChooseUpstream: Send + Sync {
    fn upstream(&self, request: &Request) -> &Arc<str>;
}

/// The same one always.
impl ChooseUpstream for Arc<str> {
    fn upstream(&self, _: &Request) -> &Arc<str> {
        self
    }
}

/// Settles the upstream: laid over a stack in which a value names it.
pub struct SettleUpstream {
    by: Box<dyn ChooseUpstream>,
    next: Box<dyn Handler>,
}

impl SettleUpstream {
    /// `next` as it is where no upstream gets anything.
    pub fn over(next: Box<dyn Handler>, by: Option<Box<dyn ChooseUpstream>>) -> Box<dyn Handler> {
        match by {
            Some(by) => Box::new(SettleUpstream { by, next }),
            None => next,
        }
    }
}

impl Handler for SettleUpstream {
    fn call<'a>(&'a self, mut request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        let name = self.by.upstream(&request).clone();
        request.context.upstream = Some(name);
        self.next.call(request, exchange)
    }
}
