//! `graphql`: queries judged before they are sent, and answers that are failures in disguise told apart.
//!
//! A query is found in a `POST` of JSON, alone or in a batch, in a `POST` of `application/graphql`, and in the `query`
//! of a URL (graphql.github.io/graphql-over-http). With `max_depth`, `allowed_operations` or `introspection = false`, what
//! cannot be judged is refused: other methods and types, persisted queries without their text, a query both in the URL and in the body.
//!
//! An answer is judged when it is a success by its status and JSON; any other tells of its failure itself, or is a
//! stream. This policy stands below the circuit breaker, which counts `graphql_errors` where its `failures` say so, and
//! below retries, which take them as final.

use http::header;

use super::body::transform::representation::ask_for_readable;
use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Blocks, FromBlocks};
use crate::http::error::Error;
use crate::http::message::{Request, Response};

mod answer;
mod config;
mod document;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use refusal::GRAPHQL_ERRORS;

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
            Err(error) => Err(error.about(response.served_by.as_ref())),
        }
    }
}
