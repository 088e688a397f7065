//! `graphql`: queries judged before they are sent, and answers that are failures in disguise told apart.
//!
//! A query is found in a `POST` of JSON, alone or in a batch, in a `POST` of `application/graphql`, and in the `query`
//! of a URL (graphql.github.io/graphql-over-http). With `max_depth`, `allowed_operations` or `introspection = false`, what
//! cannot be judged is refused: other methods and types, persisted queries without their text, a query both in the URL and in the body.
//!
//! An answer is judged when it is a success by its status and JSON; any other tells of its failure itself, or is a
//! stream. This policy stands below the circuit breaker, which counts `graphql_errors` where its `failures` say so, and
//! below retries, which take them as final.

use std::collections::BTreeSet;

use http::header;
use serde::{Deserialize, Serialize};

use super::body_transform::refusal::{Direction, Refused};
use super::body_transform::representation::ask_for_readable;
use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Block, Blocks, FromBlocks};
use crate::http::error::{Error, Reason};
use crate::http::message::{Request, Response};
use crate::value::ByteSize;
use crate::value::problem::Problems;

mod answer;
mod document;
mod request;
#[cfg(test)]
mod tests;

/// A query that the route does not allow, or that cannot be judged.
pub const GRAPHQL_REFUSED: Reason = Reason::new("graphql_refused", 400);
/// An answer that says 200 and tells of errors.
pub const GRAPHQL_ERRORS: Reason = Reason::new("graphql_errors", 502);

/// `graphql`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether the answer becomes what stands in its `data`. One with `errors` stays as it is.
    pub unwrap_data: bool,
    /// Whether an answer with `errors` is a failure: 502 `graphql_errors`.
    pub errors_are_failures: bool,
    /// How deep fields may lie in each other, through fragments as well. `{ a { b } }` has a depth of 2.
    pub max_depth: Option<u32>,
    /// Whether a query may ask for the schema itself, by `__schema` or `__type`. `__typename` is always allowed.
    pub introspection: bool,
    /// The kinds of operations that are allowed, `query`, `mutation` and `subscription`, and the names of others.
    /// Every operation of a document has to be. A name says nothing of what an operation does.
    pub allowed_operations: Option<BTreeSet<String>>,
    /// Bytes that a query or an answer may have, after decompression.
    pub max_body: ByteSize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            unwrap_data: false,
            errors_are_failures: true,
            max_depth: None,
            introspection: true,
            allowed_operations: None,
            max_body: ByteSize(1 << 20),
        }
    }
}

impl Block for Config {
    fn check(&self, problems: &mut Problems) {
        if self.max_depth == Some(0) {
            problems
                .error(&["max_depth"], "no query has a depth of 0")
                .help("write 1 or more");
        }
        let allowed = self.allowed_operations.iter().flatten();
        if self
            .allowed_operations
            .as_ref()
            .is_some_and(BTreeSet::is_empty)
        {
            problems
                .error(
                    &["allowed_operations"],
                    "nothing is allowed, so every query is refused",
                )
                .help("name operations, or kinds of them such as `query`");
        }
        for wrong in allowed.filter(|name| !document::is_name(name)) {
            problems.error(
                &["allowed_operations"],
                format!("`{wrong}` is not a name of GraphQL: letters, digits and `_`"),
            );
        }
        if !self.judges_queries() && !self.judges_answers() {
            problems.warning(&[], "with these settings nothing is judged");
        }
    }
}

impl Config {
    fn judges_queries(&self) -> bool {
        self.max_depth.is_some() || self.allowed_operations.is_some() || !self.introspection
    }

    fn judges_answers(&self) -> bool {
        self.errors_are_failures || self.unwrap_data
    }

    fn limit(&self) -> usize {
        usize::try_from(self.max_body.0).unwrap_or(usize::MAX)
    }
}

/// Judges queries and answers.
pub(super) struct GraphQl {
    config: std::sync::Arc<Config>,
}

impl FromBlocks for GraphQl {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        Some(GraphQl::new(blocks.on()?))
    }
}

impl GraphQl {
    fn new(config: &Config) -> Self {
        GraphQl {
            config: config.clone().into(),
        }
    }
}

impl Policy for GraphQl {
    async fn apply(
        &self,
        mut request: Box<Request>,
        next: Next<'_>,
    ) -> Result<Box<Response>, Error> {
        if self.config.judges_queries() {
            request::judge(&mut request, &self.config).await?;
        }
        if !self.config.judges_answers() {
            return next.call(request).await;
        }
        ask_for_readable(&mut request.headers);
        // Every answer that is judged is a document, and part of one cannot be.
        request.headers.remove(&header::RANGE);
        request.headers.remove(&header::IF_RANGE);
        let method = request.method.clone();
        let mut response = next.call(request).await?;
        match answer::judge(&mut response, &method, &self.config).await {
            Ok(()) => Ok(response),
            Err(error) => Err(error.about(&response)),
        }
    }
}

fn refuse(why: impl std::fmt::Display) -> Error {
    Error::new(
        GRAPHQL_REFUSED,
        format!("the GraphQL request is refused: {why}"),
    )
}

/// What keeps a body from being read at all has the reasons that it has everywhere.
fn unreadable(direction: Direction, refused: &Refused, config: &Config) -> Error {
    direction.error(refused, config.limit())
}
