//! Who answered.

use std::sync::Arc;

/// Where an answer comes from, or where a request was sent last.
#[derive(Clone, Debug)]
pub struct ServedBy {
    pub upstream: Arc<str>,
    /// The address of the endpoint; none when there was none to send it to.
    pub endpoint: Option<Arc<str>>,
    /// How many endpoints it was given to, one after the other or beside each other.
    pub attempts: u32,
    /// How long the last of them took to the head of an answer, in microseconds; 0 when there was none.
    pub took: u32,
}
