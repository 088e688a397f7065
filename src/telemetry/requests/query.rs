//! What is asked of the requests that failed or took long.

use serde::Deserialize;

use super::kept::Kept;

/// Which of them are to be shown. All that is given must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    pub route: Option<String>,
    /// A reason, a status, a status of gRPC, or what one of its attempts came to.
    pub reason: Option<String>,
    /// Only those that took long, or only others.
    pub slow: Option<bool>,
    pub request_id: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            route: None,
            reason: None,
            slow: None,
            request_id: None,
            limit: 100,
        }
    }
}

impl Query {
    pub(super) fn asks_for(&self, kept: &Kept) -> bool {
        let is = |wanted: &Option<String>, has: &str| wanted.as_deref().is_none_or(|w| w == has);
        is(&self.route, &kept.route)
            && is(&self.request_id, kept.request_id.as_str())
            && self.slow.is_none_or(|slow| slow == kept.slow)
            && self.reason.as_deref().is_none_or(|why| kept.came_to(why))
    }
}
