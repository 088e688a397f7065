//! What both directions need: bodies are read, worked on and put back.

use metrics::{Counter, counter};

use super::blocking;
use super::collect::peek;
use super::content::Content;
use super::decode::{codings, decode};
use super::refusal::{Direction, Refused};
use super::representation;
use super::work::{Given, Work};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::policy::build::Build;
use crate::value::exposition::Metric;

pub const FAILURES: Metric = Metric::counter(
    "outrigger_transform_failures_total",
    "Bodies that were refused, or could not be changed.",
);

/// Bytes that a body which is read whole may have unless the config says otherwise: 1 MiB.
pub(super) const MAX_BODY: usize = 1 << 20;

/// Bytes that nothing at all may have in a coding; gzip needs 20, and has room for a name of a file.
const LARGEST_NOTHING: usize = 1024;

/// One direction.
pub(super) struct Side {
    direction: Direction,
    pub work: std::sync::Arc<Work>,
    pub failures: Counter,
}

impl Side {
    pub fn new(direction: Direction, work: Work, build: &Build<'_>) -> Self {
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
    pub fn has_work(&self) -> bool {
        self.work.schema.is_some() || !self.work.steps.is_empty()
    }

    /// Reads a body, works on it, and puts the result in its place, with the headers that describe it.
    pub async fn replace(
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
    pub async fn is_empty(&self, headers: &Headers, body: &mut Body) -> Result<bool, Error> {
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

    pub fn refuse(&self, refused: &Refused) -> Error {
        self.failures.increment(1);
        self.direction.error(refused, self.work.max_body)
    }
}
