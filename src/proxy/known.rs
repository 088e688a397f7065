//! By what a request is found again in the log of whoever else had to do with it.

use crate::http::message::{Request, RequestId};
use crate::trace::TraceId;

/// What a request is known by to its end.
#[derive(Clone)]
pub struct Known {
    pub request_id: RequestId,
    pub trace: Option<TraceId>,
}

impl Known {
    #[inline]
    pub fn of(request: &Request) -> Self {
        Known {
            request_id: request.context.request_id.clone(),
            trace: request.context.trace.id(),
        }
    }
}
