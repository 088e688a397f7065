//! `validate`, `body`, `max_body` and `require_json` of `request` and `response`, and `envelope`: JSON bodies judged
//! and changed on their way.
//!
//! A body that is looked at is read whole, up to `max_body`, decoded, judged by its schema as it came, changed step
//! by step, and sent on without an encoding; a body that nothing here looks at streams through untouched. A failure
//! is an answer of its own: never is half of a body sent.
//!
//! What has no JSON content type passes unchanged, unless `require_json` says otherwise. Answers without a body (to
//! HEAD, 204, 304) pass too; of what a HEAD tells, that which GET would not have is removed. An empty body is no
//! document, however its emptiness shows: `require_json` and `validate` refuse it on the way in, and nothing is made of
//! it on the way back. Part of a document, as a range of bytes, cannot be changed: then all of it is asked for.

use self::inbound::Inbound;
use self::outbound::Outbound;
use crate::http::error::Error;
use crate::http::message::{Request, Response};
use crate::policy::build::Build;
use crate::policy::stack::{Next, Policy};
use crate::policy::table::{Blocks, FromBlocks};

pub(in crate::policy) mod blocking;
mod collect;
pub(in crate::policy) mod content;
mod decode;
mod inbound;
pub mod on_status;
mod outbound;
mod pointer;
mod range;
pub mod refusal;
pub(in crate::policy) mod representation;
mod side;
pub mod step;
#[cfg(test)]
mod tests;
mod work;

pub(super) use side::FAILURES;

/// Judges and changes bodies on the way in and on the way back.
pub(in crate::policy) struct TransformBody {
    inbound: Option<Inbound>,
    outbound: Option<Outbound>,
}

impl FromBlocks for TransformBody {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        let (request, response) = (blocks.on(), blocks.on());
        let policy = TransformBody {
            inbound: request.and_then(|config| Inbound::new(config, blocks.get(), build)),
            outbound: response.and_then(|config| Outbound::new(config, blocks.get(), build)),
        };
        (policy.inbound.is_some() || policy.outbound.is_some()).then_some(policy)
    }
}

impl Policy for TransformBody {
    async fn apply(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        if let Some(inbound) = &self.inbound {
            inbound.change(&mut request).await?;
        }
        let Some(outbound) = &self.outbound else {
            return next.call(request).await;
        };
        let (asked, whole) = outbound.ask(&mut request);
        let mut response = next.call(request).await?;
        if let Some(whole) = whole
            && outbound.wants_whole(&response)
        {
            drop(response);
            response = next.call(whole.into_request()).await?;
        }
        match outbound.change(&mut response, asked).await {
            Ok(()) => Ok(response),
            Err(error) => Err(error.about(response.served_by.as_ref())),
        }
    }
}
