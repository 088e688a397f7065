//! What operators order of a route's policies: `PUT /routes/{name}/{word}` of the admin API.

use std::fmt;
use std::sync::Arc;

use super::build::Kept;

/// Orders of one kind, in [`Block::ORDERS`](super::table::Block::ORDERS) of the policy that takes them.
pub struct OrderKind {
    /// The last part of their path.
    pub word: &'static str,
    /// What their body is, for the index of the API.
    pub body: &'static str,
    /// How to write a body, for who wrote it otherwise.
    pub usage: &'static str,
    /// What a route lacks that takes none, and how to give it that.
    pub lacking: &'static str,
    /// Reads a body.
    pub read: fn(&[u8]) -> serde_json::Result<Box<dyn Order>>,
}

/// An order that was read.
pub trait Order: fmt::Debug + Send + Sync {
    /// Carries it out on what is kept of a route; false if that has no such policy.
    fn carry_out(&self, route: Arc<str>, kept: &Kept) -> bool;
}
