//! `request` and `response`: what a route does to messages, from the caller's to the upstream and back.
//!
//! This file has the two blocks. What they ask for is done by three parts, each in a folder of its own:
//! - [`headers`]: headers are removed, set and added.
//! - [`validate`]: a JSON body is judged by a schema.
//! - [`transform`]: a body is read for that, changed step by step, and put into an envelope.
//!
//! [`document`] reads JSON for the last two, and writes it.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use http::header;
use serde::{Deserialize, Serialize};

use self::headers::Changes;
use self::transform::on_status::{self, OnStatus};
use self::transform::step::{self, Step};
use self::validate::Schema;
use super::material::Material;
use super::table::{Block, Summary};
use crate::http::envelope;
use crate::http::error::Reason;
use crate::tls::Opened;
use crate::value::ByteSize;
use crate::value::FieldName;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;
use crate::value::template::{self, HeaderTemplate};

pub mod document;
pub(super) mod headers;
pub mod transform;
mod validate;

/// `request`
///
/// Values are made from the request as it came; then headers are removed, set and added, in that order.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct RequestConfig {
    /// In place of all values under that name.
    #[serde(serialize_with = "template::shown")]
    pub set_headers: BTreeMap<FieldName, HeaderTemplate>,
    /// Beside the values that are there.
    #[serde(serialize_with = "template::shown")]
    pub add_headers: BTreeMap<FieldName, HeaderTemplate>,
    pub remove_headers: Vec<FieldName>,
    /// A schema for JSON bodies, as they come.
    pub validate: Option<validate::Config>,
    /// Changes of JSON bodies, in order.
    pub body: Vec<Step>,
    /// Bytes that a body may have, after decompression. Default: 1 MiB for a body that is read whole, because
    /// something here looks at it; no limit for one that streams through.
    pub max_body: Option<ByteSize>,
    /// Whether a body that is not JSON by its content type is refused, rather than passed unchanged. Default: where it
    /// would pass the schema unjudged.
    pub require_json: Option<bool>,
}

/// `response`
///
/// Variables stand for facts of the request, as it was before `request` changed it. Answers that the proxy
/// makes out of a failure are not touched.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct ResponseConfig {
    /// In place of all values under that name.
    #[serde(serialize_with = "template::shown")]
    pub set_headers: BTreeMap<FieldName, HeaderTemplate>,
    /// Beside the values that are there.
    #[serde(serialize_with = "template::shown")]
    pub add_headers: BTreeMap<FieldName, HeaderTemplate>,
    pub remove_headers: Vec<FieldName>,
    /// A schema for the JSON bodies of successes, as the upstream sends them.
    pub validate: Option<validate::Config>,
    /// Changes of JSON bodies, in order.
    pub body: Vec<Step>,
    /// Bytes that a body may have that is read whole, after decompression. Default: 1 MiB.
    pub max_body: Option<ByteSize>,
    /// Whether a body that is not JSON by its content type is refused, rather than passed unchanged. Default: where it
    /// would pass the schema unjudged.
    pub require_json: Option<bool>,
    /// Of which answers the bodies are changed, and have to be JSON if that is required. Default: successes.
    pub on_status: Option<OnStatus>,
    /// Whether every answer is put into one shape; see [`envelope`].
    pub envelope: bool,
}

impl Block for RequestConfig {
    const METRICS: &[Metric] = &[transform::FAILURES];
    const REASONS: &[Reason] = transform::refusal::OF_REQUESTS;

    fn check(&self, problems: &mut Problems) {
        step::check(&self.body, problems);
        let changes = self.changes();
        changes.check(problems);
        for (place, name) in changes.names() {
            if *name.name() == header::HOST {
                problems
                    .error(
                        &[place[0].as_str(), place[1].as_str()],
                        "`Host` is not a header to change here",
                    )
                    .help("set `rewrite.host` on the route");
            }
        }
    }

    fn with_defaults(&mut self) {
        self.require_json.get_or_insert(self.validate.is_some());
    }

    fn open(&self, problems: &mut Problems) -> Opened<Material> {
        open_schema(self.validate.as_ref(), RequestSchema, problems)
    }

    fn tell(&self, summary: &mut Summary) {
        self.changes().tell("request", summary);
    }
}

/// What was opened of `validate` in `request`.
pub(super) struct RequestSchema(pub Schema);

/// What was opened of `validate` in `response`.
pub(super) struct ResponseSchema(pub Schema);

fn open_schema<T: Any + Send + Sync>(
    validate: Option<&validate::Config>,
    of: fn(Schema) -> T,
    problems: &mut Problems,
) -> Opened<Material> {
    let Some(validate) = validate else {
        return Opened::nothing();
    };
    let schema = problems.within(&["validate"], |problems| validate.open(problems));
    Opened::without_certificates(schema.map(of).map(Arc::new)).any()
}

impl RequestConfig {
    pub(super) fn requires_json(&self) -> bool {
        self.require_json.unwrap_or(self.validate.is_some())
    }

    fn changes(&self) -> Changes {
        let RequestConfig {
            set_headers,
            add_headers,
            remove_headers,
            validate: _,
            body: _,
            max_body: _,
            require_json: _,
        } = self.clone();
        Changes {
            set: set_headers,
            add: add_headers,
            remove: remove_headers,
        }
    }
}

impl Block for ResponseConfig {
    const REASONS: &[Reason] = transform::refusal::OF_RESPONSES;

    fn check(&self, problems: &mut Problems) {
        step::check(&self.body, problems);
        self.changes().check(problems);
        let reads = self.validate.is_some() || !self.body.is_empty() || self.envelope;
        if self.max_body.is_some() && !reads {
            problems
                .warning(
                    &["max_body"],
                    "this limits nothing: answers are limited only where they are read whole, and nothing here reads them",
                )
                .help("it belongs to `validate`, `body` and `envelope`; remove it without one of them");
        }
        self.check_statuses(problems);
    }

    fn with_defaults(&mut self) {
        self.require_json.get_or_insert(self.validate.is_some());
        self.on_status.get_or_insert_with(on_status::by_default);
    }

    fn open(&self, problems: &mut Problems) -> Opened<Material> {
        open_schema(self.validate.as_ref(), ResponseSchema, problems)
    }

    fn tell(&self, summary: &mut Summary) {
        if self.envelope {
            summary.change_failure = Some(envelope::around_failure);
        }
        self.changes().tell("response", summary);
    }
}

impl ResponseConfig {
    fn check_statuses(&self, problems: &mut Problems) {
        match &self.on_status {
            Some(statuses) if statuses.0.is_empty() => {
                problems
                    .error(&["on_status"], "this names no answers, so none is changed")
                    .help("write \"any\", or a list such as [\"2xx\", \"404\"]");
            }
            Some(_) if self.body.is_empty() && self.require_json != Some(true) => {
                problems
                    .warning(
                        &["on_status"],
                        "this says which answers `body` changes, and there is no `body`",
                    )
                    .help("remove it; `validate` is for successes, `envelope` for every answer");
            }
            Some(_) => {}
            None => {
                let removes = |step: &Step| matches!(step, Step::Remove(what) if !what.is_empty());
                if let Some(index) = self.body.iter().position(removes) {
                    problems
                        .warning(
                            &["body", &index.to_string(), "remove"],
                            "only successes (2xx) are changed: errors keep what this removes",
                        )
                        .help(
                            "set `on_status = \"any\"` to change errors as well, or `on_status = \"2xx\"` if they have nothing to hide",
                        );
                }
            }
        }
    }

    fn changes(&self) -> Changes {
        let ResponseConfig {
            set_headers,
            add_headers,
            remove_headers,
            validate: _,
            body: _,
            max_body: _,
            require_json: _,
            on_status: _,
            envelope: _,
        } = self.clone();
        Changes {
            set: set_headers,
            add: add_headers,
            remove: remove_headers,
        }
    }
}

#[cfg(test)]
mod tests;
