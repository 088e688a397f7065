//! What operators order of a breaker: to be open, to be closed, or to go by what it sees.

use std::sync::Arc;

use serde::Deserialize;

use super::route_breaker::Facts;
use super::state::Forced;
use crate::policy::build::Kept;
use crate::policy::orders::{Order, OrderKind};

pub const BREAKER: OrderKind = OrderKind {
    word: "breaker",
    body: "a JSON object whose state is open, closed or auto",
    usage: "write the state as {\"state\": \"open\"}, \"closed\" or \"auto\"",
    lacking: "no circuit breaker: set `circuit_breaker` in its config",
    read: |body| Ok(Box::new(serde_json::from_slice::<Wanted>(body)?)),
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    state: Forced,
}

impl Order for Wanted {
    fn carry_out(&self, route: Arc<str>, kept: &Kept) -> bool {
        let facts = kept.of::<Facts>(route);
        if let Some(facts) = &facts {
            facts.force(self.state);
        }
        facts.is_some()
    }
}
