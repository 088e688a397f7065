//! The three limits as the config has them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::error::{DEADLINE_EXCEEDED, Reason, UPSTREAM_TIMEOUT};
use crate::policy::table::Block;
use crate::value::Limit;
use crate::value::problem::Problems;

/// `timeout`: until the head of the response, from when the upstream has all of the request that has arrived.
/// Default: 15 s.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct UntilHead(pub Limit);

/// `idle_timeout`: the longest time in which nothing passes either way, once the head of the response is here.
/// Default: 5 min.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Idle(pub Limit);

/// `deadline`: the whole exchange, its bodies included. Default: none.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq)]
#[serde(transparent)]
pub struct Whole(pub Limit);

impl Block for UntilHead {
    const REASONS: &[Reason] = &[UPSTREAM_TIMEOUT];

    fn by_default() -> Option<Self> {
        Some(UntilHead(Limit::from_secs(15)))
    }

    fn check(&self, problems: &mut Problems) {
        check(self.0, problems);
    }
}

impl Block for Idle {
    fn by_default() -> Option<Self> {
        Some(Idle(Limit::from_secs(300)))
    }

    fn check(&self, problems: &mut Problems) {
        check(self.0, problems);
    }
}

impl Block for Whole {
    const REASONS: &[Reason] = &[DEADLINE_EXCEEDED];

    fn by_default() -> Option<Self> {
        Some(Whole(Limit::NONE))
    }

    fn check(&self, problems: &mut Problems) {
        check(self.0, problems);
    }
}

fn check(limit: Limit, problems: &mut Problems) {
    if limit.0 == Some(Duration::ZERO) {
        problems
            .error(&[], "no exchange can be that fast")
            .help("write \"none\" for no limit");
    }
}
