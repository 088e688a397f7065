//! The block `graphql`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::document;
use super::refusal::GRAPHQL_REFUSED;
use crate::http::error::Reason;
use crate::policy::table::Block;
use crate::value::ByteSize;
use crate::value::problem::Problems;

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
    const REASONS: &[Reason] = &[GRAPHQL_REFUSED];

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
    pub(super) fn judges_queries(&self) -> bool {
        self.max_depth.is_some() || self.allowed_operations.is_some() || !self.introspection
    }

    pub(super) fn judges_answers(&self) -> bool {
        self.errors_are_failures || self.unwrap_data
    }

    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.max_body.0).unwrap_or(usize::MAX)
    }
}
