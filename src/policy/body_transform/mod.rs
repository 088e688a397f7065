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

use metrics::{Counter, counter};

use self::collect::peek;
use self::content::Content;
use self::decode::{codings, decode};
use self::inbound::Inbound;
use self::outbound::Outbound;
use self::refusal::{Direction, Refused};
use self::work::{Given, Work};
use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Blocks, FromBlocks};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::message::{Request, Response};
use crate::value::exposition::Metric;

pub(super) mod blocking;
mod collect;
pub(super) mod content;
mod decode;
pub mod document;
pub mod envelope;
mod inbound;
pub mod on_status;
mod outbound;
mod pointer;
mod range;
pub mod refusal;
pub(super) mod representation;
pub mod step;
#[cfg(test)]
mod tests;
mod work;

pub(super) const FAILURES: Metric = Metric::counter(
    "outrigger_transform_failures_total",
    "Bodies that were refused, or could not be changed.",
);

/// Bytes that a body which is read whole may have unless the config says otherwise: 1 MiB.
const MAX_BODY: usize = 1 << 20;

/// Bytes that nothing at all may have in a coding; gzip needs 20, and has room for a name of a file.
const LARGEST_NOTHING: usize = 1024;

/// Judges and changes bodies on the way in and on the way back.
pub(super) struct TransformBody {
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
            Err(error) => Err(error.about(&response)),
        }
    }
}

/// What both directions need.
struct Side {
    direction: Direction,
    work: std::sync::Arc<Work>,
    failures: Counter,
}

impl Side {
    fn new(direction: Direction, work: Work, build: &Build<'_>) -> Self {
        Side {
            direction,
            work: work.into(),
            failures: counter!(
                FAILURES.name,
                "route" => build.route.to_string(),
                "direction" => direction.label(),
            ),
        }
    }

    /// Whether JSON bodies are read at all.
    fn has_work(&self) -> bool {
        self.work.schema.is_some() || !self.work.steps.is_empty()
    }

    /// Reads a body, works on it, and puts the result in its place, with the headers that describe it.
    async fn replace(
        &self,
        headers: &mut Headers,
        body: &mut Body,
        given: impl FnOnce(Content) -> Given,
    ) -> Result<bool, Error> {
        let content = Content::read(headers, body, self.work.max_body)
            .await
            .map_err(|unread| unread.into_error(|refused| self.refuse(refused)))?;
        let (size, unchanged) = (content.size(), content.encoded());
        let given = given(content);
        let work = self.work.clone();
        let done = blocking::run(size, move || work.run(given)).await;
        let changed = done.unwrap_or(Err(Refused::Panicked));
        match changed.map_err(|refused| self.refuse(&refused))? {
            Some(changed) => {
                representation::forget_bytes(headers);
                *body = Body::full(changed);
                Ok(true)
            }
            None => {
                *body = Body::full(unchanged);
                Ok(false)
            }
        }
    }

    /// Whether a body has no content. What is read to know it is still there afterwards.
    async fn is_empty(&self, headers: &Headers, body: &mut Body) -> Result<bool, Error> {
        let codings = codings(headers).unwrap_or_default();
        let most = if codings.is_empty() {
            0
        } else {
            LARGEST_NOTHING
        };
        let Some(short) = peek(body, most).await? else {
            return Ok(false);
        };
        let content = decode(short, &codings, 0);
        Ok(content.is_ok_and(|content| content.is_empty()))
    }

    fn refuse(&self, refused: &Refused) -> Error {
        self.failures.increment(1);
        self.direction.error(refused, self.work.max_body)
    }
}
