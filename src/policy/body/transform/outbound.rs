//! The way back: what an upstream answers.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use tokio::time::Instant;

use super::on_status::{self, OnStatus};
use super::range::{Whole, is_part_of_document};
use super::refusal::{Direction, Refused};
use super::representation::{ask_for_readable, essence, forget_bytes, is_json};
use super::side::{MAX_BODY, Side};
use super::work::{Given, Work};
use crate::http::envelope::{self, Facts};
use crate::http::error::Error;
use crate::http::message::{Request, RequestId, Response, is_framed};
use crate::http::semantics::no_body;
use crate::policy::answered::Answered;
use crate::policy::body::validate::Values;
use crate::policy::body::{ResponseConfig, ResponseSchema};
use crate::policy::build::Build;

/// `response`, as far as it is about bodies.
pub(super) struct Outbound {
    side: Side,
    /// None: of what the schema judges.
    require_json: Option<bool>,
    /// Whose bodies the steps change.
    on_status: OnStatus,
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
    pub fn new(
        config: &ResponseConfig,
        schema: Option<&ResponseSchema>,
        build: &Build<'_>,
    ) -> Option<Self> {
        let work = Work {
            schema: schema.map(|schema| schema.0.clone()),
            steps: config.body.clone(),
            max_body: config.max_body.map_or(MAX_BODY, |size| {
                usize::try_from(size.0).unwrap_or(usize::MAX)
            }),
            values: Values::Hidden,
        };
        let outbound = Outbound {
            side: Side::new(Direction::Response, work, build),
            require_json: config.require_json,
            on_status: config
                .on_status
                .clone()
                .unwrap_or_else(on_status::by_default),
            envelope: config.envelope,
        };
        let requires = outbound.require_json == Some(true);
        let looks = outbound.side.has_work() || requires || outbound.envelope;
        looks.then_some(outbound)
    }

    /// Asks the upstream for an answer that can be changed. Also gives back what to ask if that is but a part of one.
    pub fn ask(&self, request: &mut Request) -> (Asked, Option<Whole>) {
        let mut whole = None;
        if self.side.has_work() || self.envelope {
            ask_for_readable(&mut request.headers);
            whole = Whole::instead(request, self.envelope);
        }
        (self.asked(request), whole)
    }

    /// Whether all of it has to be asked for.
    pub fn wants_whole(&self, response: &Response) -> bool {
        is_part_of_document(response)
            && (self.changes(response.status) || self.side.work.schema.is_some())
    }

    fn asked(&self, request: &Request) -> Asked {
        Asked {
            method: request.method.clone(),
            route: request.context.route.clone(),
            request_id: request.context.request_id.clone(),
            received: request.context.received,
        }
    }

    /// Whether the steps are for answers of this status.
    fn changes(&self, status: StatusCode) -> bool {
        !self.side.work.steps.is_empty() && on_status::has(&self.on_status, status)
    }

    /// Whether an answer of this status has to be JSON. The schema is for successes, and so is what follows from it.
    fn requires_json(&self, status: StatusCode) -> bool {
        match self.require_json {
            Some(requires) => requires && on_status::has(&self.on_status, status),
            None => self.side.work.schema.is_some() && status.is_success(),
        }
    }

    pub async fn change(&self, response: &mut Response, asked: Asked) -> Result<(), Error> {
        let status = response.status;
        if response.upgrade.is_some() || no_body::has_no_content(status) || is_endless(response) {
            return Ok(());
        }
        let json = is_json(&response.headers);
        let changed = self.changes(status);
        // What an upstream promises is the shape of its successes.
        let judged = self.side.work.schema.is_some() && status.is_success();
        let read = self.envelope || json && (changed || judged);
        if asked.method == Method::HEAD {
            if self.envelope || json && changed {
                self.change_head(response);
            }
            return Ok(());
        }
        if !json && self.requires_json(status) {
            // No content needs no type.
            let (headers, body) = (&response.headers, &mut response.body);
            if !self.side.is_empty(headers, body).await? {
                let why = "its content type is not JSON".to_owned();
                return Err(self.side.refuse(&Refused::NotJson(why)));
            }
        }
        if !read {
            return Ok(());
        }
        if status == StatusCode::PARTIAL_CONTENT {
            return Err(self.side.refuse(&Refused::Partial));
        }
        let facts = self.envelope.then(|| Facts::of(response, asked.answered()));
        let given = |content| Given {
            content,
            is_json: json,
            needed: false,
            judged,
            changed,
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
        forget_bytes(&mut response.headers);
        if self.envelope {
            envelope::tell_json(&mut response.headers);
        }
    }
}

impl Asked {
    fn answered(&self) -> Answered {
        Answered {
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
