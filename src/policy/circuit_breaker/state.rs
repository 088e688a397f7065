//! What a breaker tells of itself, and what an operator may order.

use serde::Deserialize;

use super::window::Counts;

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Requests pass, and are judged.
    Closed,
    /// A few requests pass, to find out whether the upstream has recovered.
    HalfOpen,
    /// Requests are refused.
    Open,
}

/// What an operator has ordered.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Forced {
    /// Refuses all, whatever is seen.
    Open,
    /// Lets all pass, whatever is seen.
    Closed,
    #[default]
    #[serde(rename = "auto")]
    No,
}

/// What a person wants to know of a breaker.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub state: State,
    pub forced: Forced,
    /// Until it becomes half-open.
    pub wait: Option<u64>,
    pub consecutive: u32,
    pub window: Counts,
}
