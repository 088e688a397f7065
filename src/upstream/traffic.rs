//! How many attempts an endpoint has had, and what came of them.
//!
//! All workers share the counts, which lie beside the endpoint's load, that each attempt changes anyway.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use crate::value::exposition::Metric;

pub const REQUESTS: Metric = Metric::counter(
    "outrigger_endpoint_requests_total",
    "Attempts at an endpoint of an upstream, up to the head of the answer; failed: the endpoint is to blame; neither: the \
         caller's doing, or ours. An endpoint's counts go with it.",
);

/// The counts of one endpoint, for as long as it is in some list.
#[derive(Debug, Default)]
pub struct Traffic {
    pub answered: Count,
    pub failed: Count,
    pub neither: Count,
}

#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    #[inline]
    pub fn one_more(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The counts as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// With an answer that is no failure of the endpoint.
    pub answered: u64,
    /// For which the endpoint is to blame.
    pub failed: u64,
    /// Of which nothing can be said: the caller left, say.
    pub neither: u64,
}

impl Traffic {
    pub fn now(&self) -> Requests {
        Requests {
            answered: self.answered.0.load(Relaxed),
            failed: self.failed.0.load(Relaxed),
            neither: self.neither.0.load(Relaxed),
        }
    }
}

impl Requests {
    /// What metrics call each of them.
    pub fn by_result(self) -> [(&'static str, u64); 3] {
        [
            ("answered", self.answered),
            ("failed", self.failed),
            ("neither", self.neither),
        ]
    }
}

impl std::ops::AddAssign for Requests {
    fn add_assign(&mut self, more: Self) {
        self.answered += more.answered;
        self.failed += more.failed;
        self.neither += more.neither;
    }
}
