//! `respond`: an answer made here.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Options};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::http::semantics::no_body;
use crate::value::FieldName;
use crate::value::captures;
use crate::value::problem::Problems;
use crate::value::template::{BodyTemplate, HeaderTemplate};

/// `respond`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// 200 to 599.
    #[serde(default = "ok")]
    pub status: u16,
    /// Sent as `text/plain; charset=utf-8` unless `headers` say otherwise. May use `${path.NAME}`.
    #[serde(default)]
    pub body: BodyTemplate,
    #[serde(default)]
    pub headers: BTreeMap<FieldName, HeaderTemplate>,
}

impl Block for Config {
    fn check(&self, known: &[&str], problems: &mut Problems) {
        if !(200..=599).contains(&self.status) {
            problems.error(
                &["status"],
                format!("{} is not a status from 200 to 599", self.status),
            );
        } else if StatusCode::from_u16(self.status).is_ok_and(no_body::has_no_content)
            && !self.body.as_str().is_empty()
        {
            problems.error(
                &["body"],
                format!("an answer with status {} has no body", self.status),
            );
        }
        for name in self.headers.keys().filter(|name| name.is_framing()) {
            problems
                .error(
                    &["headers", name.as_str()],
                    format!("`{}` is written by the protocol", name.as_str()),
                )
                .help("remove it: length and framing follow from the body");
        }
        for (name, value) in &self.headers {
            value.check(&["headers", name.as_str()], problems);
        }
        let body = &self.body;
        captures::check(known, &["body"], body.captures(), body.as_str(), problems);
        for (name, value) in &self.headers {
            let place = ["headers", name.as_str()];
            captures::check(known, &place, value.captures(), value.as_str(), problems);
        }
    }

    fn build(&self, _: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(Respond::new(self)))
    }
}

/// The target of a route with `respond`.
pub struct Respond {
    status: StatusCode,
    body: BodyTemplate,
    /// The body, when it is the same for every request.
    constant: Option<Bytes>,
    headers: BTreeMap<FieldName, HeaderTemplate>,
}

impl Respond {
    pub fn new(config: &Config) -> Self {
        Respond {
            status: StatusCode::from_u16(config.status).unwrap_or_default(),
            body: config.body.clone(),
            constant: config.body.constant(),
            headers: config.headers.clone(),
        }
    }

    pub fn answer(&self, request: &Request) -> Response {
        let body = match &self.constant {
            Some(constant) => constant.clone(),
            None => self.body.render(request),
        };
        let is_empty = body.is_empty();
        let mut response = Response::new(self.status, Body::full(body));
        for (name, value) in &self.headers {
            response.headers.append(name.name(), &value.render(request));
        }
        if !is_empty && !response.headers.contains(&header::CONTENT_TYPE) {
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers.append(&header::CONTENT_TYPE, &text);
        }
        response
    }
}

impl Handler for Respond {
    fn call<'a>(&'a self, request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(Box::new(self.answer(&request)))))
    }
}

fn ok() -> u16 {
    200
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{next, request};

    fn respond(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn the_answer_is_as_configured() {
        let config =
            respond("status = 503\nbody = \"later\"\nheaders = { x-route = \"${route}\" }");
        let mut request = request("GET", "/");
        request.context.route = "down".into();
        let mut response = next(&Respond::new(&config)).call(request).await.unwrap();
        assert_eq!(response.status, 503);
        assert_eq!(response.body.take_full().unwrap(), "later");
        let header = |name| response.headers.get_str(&name).map(str::to_owned);
        assert_eq!(header("x-route".parse().unwrap()).unwrap(), "down");
        assert_eq!(
            header(header::CONTENT_TYPE).unwrap(),
            "text/plain; charset=utf-8"
        );
    }

    #[test]
    fn a_content_type_given_is_the_only_one() {
        let config = respond("body = \"{}\"\nheaders = { Content-Type = \"application/json\" }");
        let response = Respond::new(&config).answer(&request("GET", "/"));
        let types: Vec<_> = response.headers.get_all(&header::CONTENT_TYPE).collect();
        assert_eq!(types, [b"application/json"]);
        assert!(
            Respond::new(&respond(""))
                .answer(&request("GET", "/"))
                .headers
                .is_empty()
        );
    }

    #[test]
    fn problems_are_told() {
        for (text, expected) in [
            ("", 0),
            ("status = 199", 1),
            ("status = 600", 1),
            ("status = 204", 0),
            ("status = 204\nbody = \"x\"", 1),
            (
                "headers = { content-length = \"3\", Connection = \"close\" }",
                2,
            ),
        ] {
            let mut problems = Problems::default();
            respond(text).check(&[], &mut problems);
            assert_eq!(problems.into_vec().len(), expected, "{text}");
        }
    }
}
