//! The way back: what an upstream answers.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use tokio::time::Instant;

use super::envelope::{self, About, Facts};
use super::refusal::{Direction, Refused};
use super::representation::{ask_for_readable, essence, forget_bytes, is_json};
use super::work::{Given, Work};
use super::{MAX_BODY, Side, is_bodiless};
use crate::error::Error;
use crate::message::{Request, RequestId, Response, is_framed};
use crate::policy::headers::ResponseConfig;
use crate::policy::stack::Build;
use crate::policy::validate::Values;

/// `response`, as far as it is about bodies.
pub(super) struct Outbound {
    side: Side,
    require_json: bool,
    envelope: bool,
}

/// What the answer needs to know of its request.
pub(super) struct Asked {
    method: Method,
    route: Arc<str>,
    request_id: RequestId,
    received: Instant,
}

impl Outbound {
    pub fn new(config: &ResponseConfig, build: &Build<'_>) -> Option<Self> {
        let work = Work {
            schema: config.validate.as_ref().map(|v| v.schema.clone()),
            steps: config.body.clone(),
            max_body: config.max_body.map_or(MAX_BODY, |size| {
                usize::try_from(size.0).unwrap_or(usize::MAX)
            }),
            values: Values::Hidden,
        };
        let outbound = Outbound {
            side: Side::new(Direction::Response, work, build),
            require_json: config.require_json,
            envelope: config.envelope,
        };
        let looks = outbound.side.has_work() || outbound.require_json || outbound.envelope;
        looks.then_some(outbound)
    }

    /// Asks the upstream for an answer that can be changed.
    pub fn ask(&self, request: &mut Request) -> Asked {
        if self.side.has_work() || self.envelope {
            ask_for_readable(&mut request.headers);
        }
        Asked {
            method: request.method.clone(),
            route: request.context.route.clone(),
            request_id: request.context.request_id.clone(),
            received: request.context.received,
        }
    }

    pub async fn change(&self, response: &mut Response, asked: Asked) -> Result<(), Error> {
        if response.upgrade.is_some() || is_bodiless(response.status) || is_endless(response) {
            return Ok(());
        }
        let json = is_json(&response.headers);
        let read = self.envelope || json && self.side.has_work();
        if asked.method == Method::HEAD {
            if read {
                self.change_head(response);
            }
            return Ok(());
        }
        if self.require_json && !json {
            let why = "its content type is not JSON".to_owned();
            return Err(self.side.refuse(&Refused::NotJson(why)));
        }
        if !read {
            return Ok(());
        }
        if response.status == StatusCode::PARTIAL_CONTENT {
            return Err(self.side.refuse(&Refused::Partial));
        }
        let facts = self.envelope.then(|| Facts::of(response, asked.about()));
        // What an upstream promises is the shape of its successes.
        let judged = response.status.is_success();
        let given = |content| Given {
            content,
            is_json: json,
            judged,
            facts,
        };
        let (headers, body) = (&mut response.headers, &mut response.body);
        let changed = self.side.replace(headers, body, given).await?;
        if changed && self.envelope {
            envelope::tell_json(headers);
        }
        Ok(())
    }

    /// What stands in the head of an answer to HEAD is what GET would have.
    fn change_head(&self, response: &mut Response) {
        if self.envelope || !self.side.work.steps.is_empty() {
            forget_bytes(&mut response.headers);
        }
        if self.envelope {
            envelope::tell_json(&mut response.headers);
        }
    }
}

impl Asked {
    fn about(&self) -> About {
        About {
            route: self.route.clone(),
            request_id: self.request_id.to_string(),
            took: self.received.elapsed(),
        }
    }
}

/// A stream of messages, which is never whole.
fn is_endless(response: &Response) -> bool {
    let kind = response.headers.get(&header::CONTENT_TYPE);
    kind.is_some_and(|kind| is_framed(kind) || essence(kind) == "text/event-stream")
}
