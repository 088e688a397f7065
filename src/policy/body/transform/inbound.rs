//! The way in: what a caller sends.

use http::Method;

use super::collect::limited;
use super::refusal::{Direction, Refused};
use super::representation::is_json;
use super::side::{MAX_BODY, Side};
use super::work::{Given, Work};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::message::Request;
use crate::http::semantics::{self, expect};
use crate::policy::body::validate::Values;
use crate::policy::body::{RequestConfig, RequestSchema};
use crate::policy::build::Build;

/// `request`, as far as it is about bodies.
pub(super) struct Inbound {
    side: Side,
    require_json: bool,
    /// The limit of every body, when the config sets one; else only what is read whole has one.
    limit: Option<u64>,
}

impl Inbound {
    pub fn new(
        config: &RequestConfig,
        schema: Option<&RequestSchema>,
        build: &Build<'_>,
    ) -> Option<Self> {
        let limit = config.max_body.map(|size| size.0);
        let work = Work {
            schema: schema.map(|schema| schema.0.clone()),
            steps: config.body.clone(),
            max_body: limit.map_or(MAX_BODY, |limit| {
                usize::try_from(limit).unwrap_or(usize::MAX)
            }),
            values: Values::Shown,
        };
        let inbound = Inbound {
            side: Side::new(Direction::Request, work, build),
            require_json: config.requires_json(),
            limit,
        };
        let looks = inbound.side.has_work() || inbound.require_json || limit.is_some();
        looks.then_some(inbound)
    }

    pub async fn change(&self, request: &mut Request) -> Result<(), Error> {
        let json = is_json(&request.headers);
        let needed = self.needs_document(&request.method, json);
        if request.body.is_empty() {
            return if needed { Err(self.empty()) } else { Ok(()) };
        }
        if !json && self.require_json {
            // Without a document that is needed, its type matters only if there is one.
            if !needed && self.is_empty(request).await? {
                return Ok(());
            }
            let why = "its content type is not JSON".to_owned();
            return Err(self.side.refuse(&Refused::NotJson(why)));
        }
        if json && self.side.has_work() {
            let (headers, body) = (&mut request.headers, &mut request.body);
            let given = |content| Given {
                content,
                is_json: true,
                needed,
                judged: true,
                changed: true,
                facts: None,
            };
            self.side.replace(headers, body, given).await?;
            expect::forget(headers);
            return Ok(());
        }
        if needed && self.is_empty(request).await? {
            return Err(self.empty());
        }
        self.streaming(request)
    }

    /// Whether a request without a document is refused: one of a method that usually carries one.
    fn needs_document(&self, method: &Method, json: bool) -> bool {
        let asked_for = self.require_json || json && self.side.work.schema.is_some();
        asked_for && semantics::method::usually_has_content(method)
    }

    /// Whether there is no content, of which no header may tell: chunks or frames may end before they begin.
    async fn is_empty(&self, request: &mut Request) -> Result<bool, Error> {
        if http_body::Body::size_hint(&request.body).exact().is_none() {
            expect::forget(&mut request.headers);
        }
        self.side
            .is_empty(&request.headers, &mut request.body)
            .await
    }

    fn empty(&self) -> Error {
        self.side
            .refuse(&Refused::NotJson("it is empty".to_owned()))
    }

    fn streaming(&self, request: &mut Request) -> Result<(), Error> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        if http_body::Body::size_hint(&request.body).lower() > limit {
            return Err(self.side.refuse(&Refused::TooLarge));
        }
        let body = std::mem::replace(&mut request.body, Body::empty());
        request.body = match http_body::Body::size_hint(&body).exact() {
            // What announces its length keeps to it.
            Some(_) => body,
            None => limited(body, limit, too_large, self.side.failures.clone()),
        };
        Ok(())
    }
}

fn too_large(limit: u64) -> Error {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Direction::Request.error(&Refused::TooLarge, limit)
}
