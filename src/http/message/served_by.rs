//! Who answered.

use std::sync::Arc;

use crate::http::trail::Times;

/// Where an answer comes from, or where a request was sent last.
#[derive(Clone, Debug)]
pub struct ServedBy {
    pub upstream: Arc<str>,
    /// The address of the endpoint; none when there was none to send it to.
    pub endpoint: Option<Arc<str>>,
    /// How many endpoints it was given to, one after the other or beside each other.
    pub attempts: u32,
    /// Of the last of them.
    pub times: Option<Times>,
}
