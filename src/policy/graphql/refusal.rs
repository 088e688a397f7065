//! How queries and answers are refused.

use super::config::Config;
use crate::http::error::{Error, Reason};
use crate::policy::body::transform::refusal::{Direction, Refused};

/// A query that the route does not allow, or that cannot be judged.
pub const GRAPHQL_REFUSED: Reason = Reason::new("graphql_refused", 400);
/// An answer that says 200 and tells of errors.
pub const GRAPHQL_ERRORS: Reason = Reason::new("graphql_errors", 502);

pub(super) fn refuse(why: impl std::fmt::Display) -> Error {
    Error::new(
        GRAPHQL_REFUSED,
        format!("the GraphQL request is refused: {why}"),
    )
}

/// What keeps a body from being read at all has the reasons that it has everywhere.
pub(super) fn unreadable(direction: Direction, refused: &Refused, config: &Config) -> Error {
    direction.error(refused, config.limit())
}
