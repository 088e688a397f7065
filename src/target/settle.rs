//! Which upstream gets a request, settled before its policies see it.

use std::sync::Arc;

use super::list::Targets;
use super::split::Split;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;

/// What tells the name of the upstream that gets a request.
pub enum SettledBy {
    One(Arc<str>),
    Split(Split<Arc<str>>),
}

/// Settles the upstream: laid over a stack in which a value names it.
pub struct SettleUpstream {
    by: SettledBy,
    next: Box<dyn Handler>,
}

impl SettleUpstream {
    /// `next` as it is where no upstream gets anything.
    pub fn over(next: Box<dyn Handler>, target: &impl Targets) -> Box<dyn Handler> {
        match target.settled_by() {
            Some(by) => Box::new(SettleUpstream { by, next }),
            None => next,
        }
    }
}

impl Handler for SettleUpstream {
    fn call<'a>(&'a self, mut request: Box<Request>) -> Answer<'a> {
        let name = match &self.by {
            SettledBy::One(name) => name,
            SettledBy::Split(split) => split.choose(&request),
        };
        request.context.upstream = Some(name.clone());
        self.next.call(request)
    }
}
