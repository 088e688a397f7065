//! `set_headers`, `add_headers` and `remove_headers` of `request` and `response`.

use super::{RequestConfig, ResponseConfig};
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::message::Request;
use crate::policy::build::Build;
use crate::policy::stack::{Filter, Outcome};
use crate::policy::table::{Blocks, FromBlocks};

mod apply;
mod changes;
mod plan;

use apply::Rendered;
pub use changes::Changes;
use plan::Plan;

/// Changes headers on the way in and on the way back.
pub struct ChangeHeaders {
    request: Plan,
    response: Plan,
}

impl FromBlocks for ChangeHeaders {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        ChangeHeaders::new(blocks.on(), blocks.on())
    }
}

impl ChangeHeaders {
    /// None when nothing is to be changed.
    fn new(request: Option<&RequestConfig>, response: Option<&ResponseConfig>) -> Option<Self> {
        let request = request.map(RequestConfig::changes).unwrap_or_default();
        let response = response.map(ResponseConfig::changes).unwrap_or_default();
        let any = !request.is_empty() || !response.is_empty();
        any.then(|| ChangeHeaders {
            request: Plan::new(request),
            response: Plan::new(response),
        })
    }
}

impl Filter for ChangeHeaders {
    /// The values for the answer, which speak of the request as it came.
    type State<'a> = Rendered;

    fn on_request(&self, request: &mut Request, _: &Exchange<'_>) -> Result<Rendered, Error> {
        let on_the_way_back = self.response.render(request);
        let on_the_way_in = self.request.render(request);
        self.request.apply(&on_the_way_in, &mut request.headers);
        Ok(on_the_way_back)
    }

    fn on_response(&self, rendered: Rendered, outcome: Outcome) -> Outcome {
        let mut response = outcome?;
        self.response.apply(&rendered, &mut response.headers);
        Ok(response)
    }
}

#[cfg(test)]
mod tests;
